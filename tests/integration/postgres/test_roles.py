"""roles.sql: each role can do what it is for, and no more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import optuna
import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction

import mendstore
from mendstore.records import Answer
from tests.integration.postgres.access import ask, connected
from tests.integration.postgres.fleet_server import SHIPPED, FleetServer
from tests.integration.postgres.searches import as_stock_optuna_sees_it, work

REFUSED_TO_A_WORKER = [
    "CREATE TABLE mine (n integer)",
    "CREATE TEMPORARY TABLE mine (n integer)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION mend_now() RETURNS timestamp LANGUAGE sql AS 'SELECT now()::timestamp'",
    "CREATE SCHEMA mine",
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "ALTER TABLE trials ADD COLUMN mine integer",
    "ALTER TABLE mend_items DISABLE TRIGGER ALL",
    "DROP TABLE mend_items",
    "TRUNCATE mend_events",
    "DELETE FROM studies",
    "DELETE FROM trials",
    "DELETE FROM mend_items",
    "DELETE FROM mend_blobs",
    "DELETE FROM mend_measurements",
    "SET ROLE mend_owner",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT rolpassword FROM pg_authid",
]
REFUSED_TO_A_VIEWER = [
    "INSERT INTO studies (study_name) VALUES ('mine')",
    "UPDATE mend_searches SET stopping = true",
    "DELETE FROM trials",
    "SELECT nextval('trials_trial_id_seq')",
    "SELECT mend_join(1, 'host', 'boot', 1, 'cpu')",
    "SELECT mend_measure('token', 'name', '{}', '{}', '[]')",
    "SELECT mend_event(1, 1, 'kind', 'detail')",
    "SELECT * FROM trials FOR UPDATE",
    "CREATE TABLE mine (n integer)",
    "CREATE TEMPORARY TABLE mine (n integer)",
]


def test_a_worker_makes_a_search_and_works_it_to_its_end(fleet: FleetServer, name: str, tmp_path: Path) -> None:
    work(fleet.url("mend_worker"), name, tmp_path, trials=3)
    (summary,) = mendstore.summaries(fleet.url("mend_viewer"), name)
    assert summary.trials == {"complete": 3, "fail": 1}
    database = mendstore.Database(fleet.url("mend_viewer"))
    assert mendstore.progress(database, mendstore.find(database, name).study_id)[0] == 3
    database.close()


def test_a_device_worker_measures_and_the_networks_go(fleet: FleetServer, name: str, tmp_path: Path) -> None:
    kept = "SELECT count(*) FROM mend_blobs"
    before = ask(fleet.url("mend_viewer"), kept)
    owner, worker, viewer = (mendstore.Database(fleet.url(f"mend_{role}")) for role in ("owner", "worker", "viewer"))
    for number, asking in enumerate((owner, worker)):
        asker = mendstore.Measurements(asking, name)
        files = {"a": f"network {number}".encode()}
        asked = asker.ask({"threads": 1}, files, b"dense", b"inputs", rounds=1, seed=0)
        setting = {"device": "a board", "threads": 1}
        device = mendstore.Device(worker, name, setting, tmp_path)
        measurement = device.claim()
        assert measurement is not None
        assert device.renew() is False
        answer = Answer(ms={"a": 1.0}, dense_ms=1.0, noise=0.0, error=0.01, setting=setting)
        assert device.answer(measurement, answer) == "recorded"
        assert asker.look([asked])[asked].answer == answer
        assert mendstore.Measurements(viewer, name).devices({"threads": 1})
        device.leave("finished")
    assert ask(fleet.url("mend_viewer"), kept) == before
    for database in (owner, worker, viewer):
        database.close()


def test_stock_optuna_works_as_a_worker(fleet: FleetServer, name: str) -> None:
    storage = optuna.storages.RDBStorage(mendstore.normalised(fleet.url("mend_worker")))
    study = optuna.create_study(storage=storage, study_name=name)
    study.enqueue_trial({"x": 0.5})
    study.set_user_attr("who", "stock")

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.5, 1)
        trial.set_user_attr("seen", True)
        return trial.suggest_float("x", 0, 1)

    study.optimize(objective, n_trials=2)
    assert len(as_stock_optuna_sees_it(fleet.url("mend_viewer"))[name][2]) == 2
    with pytest.raises(optuna.exceptions.StorageInternalError):
        optuna.delete_study(study_name=name, storage=storage)
    storage.engine.dispose()
    assert name in as_stock_optuna_sees_it(fleet.url("mend_viewer"))


@pytest.mark.parametrize("statement", REFUSED_TO_A_WORKER)
def test_a_worker_is_refused(fleet: FleetServer, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        ask(fleet.url("mend_worker"), statement)


@pytest.mark.parametrize("statement", REFUSED_TO_A_VIEWER)
def test_a_viewer_is_refused_even_where_it_asks_to_write(fleet: FleetServer, statement: str) -> None:
    with pytest.raises((ReadOnlySqlTransaction, InsufficientPrivilege)):
        ask(fleet.url("mend_viewer"), statement)
    with connected(fleet.url("mend_viewer")) as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(statement)


def test_the_owner_removes_a_search(fleet: FleetServer, name: str, tmp_path: Path) -> None:
    work(fleet.url("mend_worker"), name, tmp_path, trials=1)
    database = mendstore.Database(fleet.url("mend_owner"))
    mendstore.remove(database, name)
    database.close()
    assert mendstore.summaries(fleet.url("mend_viewer"), name) == []


def test_a_wrong_password_and_a_stranger_do_not_get_in(fleet: FleetServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(fleet.url("mend_worker").replace(fleet.passwords["mend_worker"], "guessed"))
    fleet.administer("-c", "CREATE ROLE stranger LOGIN PASSWORD 'known'")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(fleet.url("mend_worker", password=False).replace("mend_worker", "stranger:known"))


def test_tables_of_a_later_migration_are_covered(fleet: FleetServer, database: str) -> None:
    owner, worker, viewer = (fleet.url(f"mend_{role}", database) for role in ("owner", "worker", "viewer"))
    ask(owner, "CREATE TABLE mend_later (n serial PRIMARY KEY, text text)")
    ask(owner, "CREATE FUNCTION mend_latest() RETURNS integer LANGUAGE sql AS 'SELECT max(n) FROM mend_later'")
    ask(worker, "INSERT INTO mend_later (text) VALUES ('x')")
    assert ask(worker, "SELECT mend_latest()") == 1
    assert ask(viewer, "SELECT text || mend_latest() FROM mend_later") == "x1"
    with pytest.raises(InsufficientPrivilege):
        ask(worker, "DELETE FROM mend_later")
    with pytest.raises(ReadOnlySqlTransaction):
        ask(viewer, "INSERT INTO mend_later (text) VALUES ('y')")


def test_a_database_that_an_administrator_migrated_is_taken_over(
    fleet: FleetServer, database: str, tmp_path: Path
) -> None:
    mendstore.upgrade(f"postgresql://postgres@/{database}?host={fleet.folder}&port={fleet.port}")
    with pytest.raises(InsufficientPrivilege):
        ask(fleet.url("mend_owner", database), "ALTER TABLE trials ADD COLUMN more integer")
    fleet.apply_roles(database)
    ask(fleet.url("mend_owner", database), "ALTER TABLE trials ADD COLUMN more integer")
    ask(fleet.url("mend_owner", database), "ALTER TYPE trialstate ADD VALUE 'MORE'")
    ask(fleet.url("mend_owner", database), "DROP FUNCTION mend_now() CASCADE")
    fleet.apply_roles(database)


def test_a_database_with_tables_of_another_program_is_left_alone(fleet: FleetServer, database: str) -> None:
    fleet.administer("-c", "CREATE TABLE invoices (n integer)", database=database)
    ended = subprocess.run(
        ["psql", "-q", "--file", SHIPPED / "roles.sql"],
        env=fleet.environment(database=database),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert "holds tables of another program: invoices" in ended.stderr
    with pytest.raises(InsufficientPrivilege):
        ask(fleet.url("mend_viewer", database), "SELECT * FROM invoices")


def test_passwords_stay_out_of_the_log_and_are_kept_where_none_is_given(fleet: FleetServer) -> None:
    fleet.apply_roles()
    fleet.administer("--file", str(SHIPPED / "roles.sql"))
    assert ask(fleet.url("mend_worker"), "SELECT 1") == 1
    log = fleet.log.read_text()
    assert "GRANT CONNECT ON DATABASE" in log
    assert not [password for password in fleet.passwords.values() if password in log]


def test_an_administrator_who_is_no_superuser_can_make_the_roles(tmp_path: Path) -> None:
    """As on a hosted Postgres; in a server of its own, since roles belong to a whole server."""
    server = FleetServer(tmp_path)
    server.start()
    try:
        server.administer("-c", "CREATE ROLE admin LOGIN CREATEROLE CREATEDB", database="postgres")
        server.administer("-U", "admin", "-c", "CREATE DATABASE hosted", database="postgres")
        for _ in range(2):
            said = server.apply_roles("hosted", administrator="admin")
            assert "no passwords set" in said
            mendstore.upgrade(f"postgresql://mend_owner@/hosted?host={tmp_path}&port={server.port}")
        worker, viewer = (
            f"postgresql://mend_{role}@/hosted?host={tmp_path}&port={server.port}" for role in ("worker", "viewer")
        )
        work(worker, "search", tmp_path / "spool", trials=1)
        assert list(as_stock_optuna_sees_it(viewer)) == ["search"]
        with pytest.raises(InsufficientPrivilege):
            ask(worker, "DELETE FROM studies")
        assert not [password for password in server.passwords.values() if password in server.log.read_text()]
    finally:
        server.stop()
