"""A run folder knows where its search is, and refuses another database."""

import json
import shutil

import psycopg2
import pytest
import sqlalchemy as sa

import mendstore
from mendsearch.errors import UsageError
from mendsearch.pipeline.home import FILE, check_database, settle, storage_of_run


@pytest.fixture
def other(storage, name):
    """Another database of the same server."""
    url = sa.make_url(mendstore.normalised(storage))
    connection = psycopg2.connect(host=url.query["host"], user=url.username, dbname=url.database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    return url.set(database=name).render_as_string(hide_password=False)


def registered_in(url, name):
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    try:
        return mendstore.register(
            database, name, trials=3, distributions={}, fingerprint="same", spec={}, versions={}, starts=[]
        )
    finally:
        database.close()


@pytest.fixture
def folder(tmp_path, storage, name):
    """A run folder whose search is in the database `storage`."""
    settle(tmp_path / "run", registered_in(storage, name), storage)
    return tmp_path / "run"


def test_the_database_is_found_again_where_none_is_given(folder, storage, other):
    assert storage_of_run(folder, None) == mendstore.normalised(storage)
    assert storage_of_run(folder, other) == other
    assert storage_of_run(folder / "none", None) is None


def test_another_database_is_refused_whether_it_has_such_a_search_or_not(folder, storage, other, name):
    check_database(folder, storage)
    mendstore.upgrade(other)
    for step in ("without the search", "with one of the same name"):
        with pytest.raises(UsageError, match=r"expected postgresql.*leave out --storage") as refused:
            check_database(folder, other)
        assert "\n" not in str(refused.value), step
        registered_in(other, name)


def test_a_database_without_tables_is_refused_too(folder, other):
    with pytest.raises(UsageError, match="leave out --storage"):
        check_database(folder, other)


def test_the_same_database_by_another_url_is_no_other(folder, storage):
    url = sa.make_url(mendstore.normalised(storage))
    check_database(folder, url.set(query={**url.query, "application_name": "x"}).render_as_string(hide_password=False))


def test_no_password_is_written_down(tmp_path, storage, name):
    url = sa.make_url(mendstore.normalised(storage)).set(password="sesame").render_as_string(hide_password=False)
    settle(tmp_path, registered_in(storage, name), url)
    assert "sesame" not in (tmp_path / FILE).read_text()


def test_an_embedded_database_moves_with_the_run(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = mendstore.EmbeddedServer(tmp_path / "project" / ".mendsearch")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    url, folder = server.start(), tmp_path / "project" / "runs" / name
    settle(folder, registered_in(url, name), url)
    assert json.loads((folder / FILE).read_text())["embedded"] == "../../.mendsearch"
    server.stop()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "runs" / name
    found = storage_of_run(moved, None)
    assert found is not None
    check_database(moved, found)
    mendstore.EmbeddedServer(tmp_path / "moved" / ".mendsearch").stop()
    shutil.rmtree(tmp_path / "moved" / ".mendsearch")
    with pytest.raises(UsageError, match=r"which is gone; put it back, or remove .* to start over"):
        storage_of_run(moved, None)
