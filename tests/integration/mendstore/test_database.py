"""Outages, schema versions, and no password in what is said, on a real Postgres."""

import threading
import time

import pytest
import sqlalchemy as sa

import mendstore
from mendstore import Database, EmbeddedServer, StorageError


@pytest.fixture
def own_server(tmp_path_factory):
    server = EmbeddedServer(tmp_path_factory.mktemp("own") / ".mendsearch")
    yield server
    server.stop()


def test_an_outage_is_waited_out_and_said_once(own_server):
    url = own_server.start()
    said, spooled = [], []
    database = Database(url, outage_s=60, on_outage=said.append)
    assert database.call("abs", -1) == 1
    own_server.stop()
    back = threading.Timer(1.5, own_server.start)
    back.start()
    assert database.call("abs", -2, on_outage=lambda: spooled.append("kept")) == 2
    back.join()
    assert (len(said), spooled) == (1, ["kept"])
    database.close()


def test_an_outage_past_the_limit_is_a_storage_error_and_ending_cuts_the_wait_short(own_server):
    url = own_server.start()
    own_server.stop()
    with pytest.raises(StorageError, match="failed"):
        Database(url, outage_s=0.5).call("abs", -1)
    ended = threading.Event()
    threading.Timer(0.3, ended.set).start()
    started = time.monotonic()
    with pytest.raises(StorageError):
        Database(url, outage_s=600, stop_event=ended).call("abs", -1)
    assert time.monotonic() - started < 30


def test_a_backend_that_is_ended_is_no_more_than_a_pause(storage):
    database, other = Database(storage, outage_s=30), Database(storage)
    pid = database.call("pg_backend_pid")
    other.call("pg_terminate_backend", pid)
    assert database.call("pg_backend_pid") != pid
    database.close()
    other.close()


def test_a_transaction_that_is_broken_off_leaves_nothing(storage):
    database = Database(storage)

    def half(connection):
        connection.execute(sa.text("CREATE TABLE half_done (x int)"))
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        database.run(half, transaction=True)
    assert database.run(lambda connection: sa.inspect(connection).has_table("half_done")) is False
    database.close()


def test_a_wrong_password_is_said_at_once_and_not_printed(storage):
    url = sa.make_url(mendstore.normalised(storage)).set(username="nobody_here", password="secret")
    with pytest.raises(StorageError, match="nobody_here") as caught:
        Database(url.render_as_string(hide_password=False)).call("abs", -1)
    assert "secret" not in str(caught.value)


def test_a_schema_that_is_missing_or_newer_is_refused_with_what_to_do(own_server):
    url = own_server.start()
    database = Database(url)
    with pytest.raises(StorageError, match="mendsearch db upgrade"):
        mendstore.check_version(database)
    mendstore.upgrade(url)
    mendstore.check_version(database)
    database.run(lambda connection: connection.execute(sa.text("UPDATE mend_version SET version_num = '9999'")))
    for look in (lambda: mendstore.check_version(database), lambda: mendstore.upgrade(url)):
        with pytest.raises(StorageError, match="newer mendsearch"):
            look()
    database.close()


def test_processes_that_upgrade_at_once_do_not_quarrel(own_server):
    url = own_server.start()
    failures = []

    def upgrade():
        try:
            mendstore.upgrade(url)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
