"""PgBouncer in transaction mode, as shipped, between workers and a real Postgres."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

import mendstore
from tests.integration.postgres.access import ask, connected
from tests.integration.postgres.fleet_server import SHIPPED, FleetServer, fleet_server, free_port
from tests.integration.postgres.searches import as_stock_optuna_sees_it, register, result_of, work

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed; apt-get install pgbouncer")
SECRETS = "SELECT format('\"%s\" \"%s\"', rolname, rolpassword) FROM pg_authid WHERE rolname IN ('mend_worker', 'mend_viewer')"
POOL = 2
OWN = """
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_file = {folder}/userlist.txt
default_pool_size = {pool}
reserve_pool_size = 0
stats_users = mend_worker
"""


class Bouncer:
    """The shipped pgbouncer.ini, with ports and paths of the test's own and room for two connections to Postgres."""

    def __init__(self, fleet: FleetServer, folder: Path) -> None:
        folder.mkdir()  # below the server's, which a user other than root can read
        self._fleet, self._folder, self.port = fleet, folder, free_port()
        assert SECRETS in (SHIPPED / "README.md").read_text().replace("\\", "").replace("\n  ", "")
        (folder / "userlist.txt").write_text(fleet.administer("--command", SECRETS) + "\n")
        shipped = (SHIPPED / "pgbouncer.ini").read_text()
        assert "port=5432" in shipped
        # at the end of the last section: one that is begun again forgets what it said
        own = OWN.format(port=self.port, folder=folder, pool=POOL)
        (folder / "own.ini").write_text(shipped.replace("port=5432", f"port={fleet.port}") + own)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PGBOUNCER is not None
        self._log = self._folder / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [PGBOUNCER, self._folder / "own.ini"], stderr=log, stdout=log, user=self._fleet.system_user
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                ask(self.url("mend_worker"), "SELECT 1")
                return
            except psycopg2.OperationalError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def url(self, role: str) -> str:
        """The URL of a role through it."""
        return self._fleet.url(role).replace(f":{self._fleet.port}/", f":{self.port}/")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    with fleet_server(tmp_path_factory.mktemp("bounced")) as server:
        mendstore.upgrade(server.url("mend_owner"))
        yield server


@pytest.fixture
def bouncer(fleet: FleetServer, name: str) -> Iterator[Bouncer]:
    started = Bouncer(fleet, fleet.folder / f"pgbouncer-{name}")
    started.start()
    yield started
    started.stop()


@contextmanager
def patient(url: str) -> Iterator[mendstore.Database]:
    """A database whose outages are waited out."""
    database = mendstore.Database(url, outage_s=60)
    yield database
    database.close()


def connections(fleet: FleetServer) -> int:
    """How many connections workers have to Postgres itself."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'mend_worker'"
    return int(fleet.administer("--command", statement))


def test_it_is_in_transaction_mode(bouncer: Bouncer) -> None:
    with connected(bouncer.url("mend_worker").replace("/mendsearch", "/pgbouncer")) as cursor:
        cursor.execute("SHOW CONFIG")
        config = {row[0]: row[1] for row in cursor.fetchall()}
    assert (config["pool_mode"], config["max_client_conn"]) == ("transaction", "2000")


def test_the_whole_life_of_a_search(bouncer: Bouncer, name: str, tmp_path: Path) -> None:
    work(bouncer.url("mend_worker"), name, tmp_path / "spool", trials=3)
    (summary,) = mendstore.summaries(bouncer.url("mend_viewer"), name)
    assert summary.trials == {"complete": 3, "fail": 1}
    assert len(as_stock_optuna_sees_it(bouncer.url("mend_viewer"))[name][2]) == 4


def test_many_workers_share_two_connections(fleet: FleetServer, bouncer: Bouncer, name: str, tmp_path: Path) -> None:
    workers, trials = 8, 40

    def one(number: int) -> int:
        with patient(bouncer.url("mend_worker")) as database:
            queue = mendstore.Queue(database, mendstore.find(database, name), "cpu", tmp_path / "spool")
            done, status = 0, "claimed"
            while status != "finished":
                status, claims = queue.claim([(f"{number}-{done}", {"restore/a": 1.0, "restore/b": 2.0})])
                for claim in claims:
                    assert queue.renew() is False
                    assert queue.finish(result_of(claim)) == "recorded"
                    done += 1
            assert connections(fleet) <= POOL
            queue.leave("finished")
            return done

    with patient(bouncer.url("mend_worker")) as database:
        register(database, name, trials)
    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(one, range(workers)))
    assert sum(done) == trials
    (_, _, seen) = as_stock_optuna_sees_it(fleet.url("mend_viewer"))[name]
    assert sorted(trial.number for trial in seen) == list(range(trials))
    assert {trial.state.name for trial in seen} == {"COMPLETE"}


@pytest.mark.parametrize("restarted", ["postgres", "pgbouncer"])
def test_a_restart_of_either_is_waited_out(
    fleet: FleetServer, bouncer: Bouncer, name: str, tmp_path: Path, restarted: str
) -> None:
    with patient(bouncer.url("mend_worker")) as database:
        queue = mendstore.Queue(database, register(database, name, 1), "cpu", tmp_path / "spool")
        _, (claim,) = queue.claim([("k", {"restore/a": 1.0, "restore/b": 2.0})])
        away = fleet if restarted == "postgres" else bouncer
        away.stop()
        with pytest.raises(mendstore.StorageError):
            queue.renew()
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(queue.finish, result_of(claim))
            time.sleep(1)
            assert not written.done()
            away.start()
            assert written.result(60) == "recorded"
        assert queue.claim([("k", {})]) == ("finished", [])
    (summary,) = mendstore.summaries(fleet.url("mend_viewer"), name)
    assert summary.trials == {"complete": 1}


def test_it_asks_for_the_password_of_the_role(fleet: FleetServer, bouncer: Bouncer) -> None:
    wrong = bouncer.url("mend_worker").replace(fleet.passwords["mend_worker"], fleet.passwords["mend_viewer"])
    with pytest.raises(psycopg2.OperationalError, match="SASL authentication failed"):
        psycopg2.connect(wrong)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(bouncer.url("mend_worker"), "DELETE FROM studies")
