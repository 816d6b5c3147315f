"""backup.sh and restore.sh: what was there comes back, whole or not at all, and no password is seen."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest

import mendstore
from tests.integration.postgres.access import ask, connected
from tests.integration.postgres.fleet_server import SHIPPED, FleetServer
from tests.integration.postgres.searches import as_stock_optuna_sees_it, register, result_of, work

WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock' AND datname = %s"
)


def run(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(SHIPPED / script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def searched(fleet: FleetServer, database: str, tmp_path: Path) -> str:
    """A database with one finished search."""
    mendstore.upgrade(fleet.url("mend_owner", database))
    work(fleet.url("mend_worker", database), "first", tmp_path / "spool", trials=4)
    return database


def test_backup_drop_restore_gives_the_same_searches(fleet: FleetServer, searched: str, tmp_path: Path) -> None:
    worker = fleet.url("mend_worker", searched)
    database = mendstore.Database(worker)
    queue = mendstore.Queue(database, register(database, "second", 2), "cpu", tmp_path / "spool")
    _, (held,) = queue.claim([("k", {"restore/a": 1.0, "restore/b": 2.0})])
    database.close()
    before = as_stock_optuna_sees_it(fleet.url("mend_viewer", searched))
    assert [len(trials) for _, _, trials in before.values()] == [5, 1]

    file = tmp_path / "all.dump"
    saved = run("backup.sh", file, **fleet.environment("mend_owner", searched))
    assert saved.returncode == 0, saved.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    fleet.administer("-c", f'DROP DATABASE "{searched}" WITH (FORCE)', database="postgres")
    fleet.make_database(searched)
    restored = run("restore.sh", file, **fleet.environment("mend_owner", searched))
    assert restored.returncode == 0, restored.stderr

    assert as_stock_optuna_sees_it(fleet.url("mend_viewer", searched)) == before
    assert queue.renew() is False  # the worker that was at it goes on as if nothing had been
    assert queue.finish(result_of(held)) == "recorded"
    database.close()
    work(worker, "third", tmp_path / "spool", trials=1)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(worker, "DELETE FROM studies")
    assert mendstore.upgrade(fleet.url("mend_owner", searched)) == ask(worker, "SELECT version_num FROM mend_version")


def test_a_url_serves_as_well_as_the_environment(fleet: FleetServer, searched: str, tmp_path: Path) -> None:
    environment = fleet.environment("mend_owner")
    del environment["PGHOST"], environment["PGPORT"], environment["PGUSER"], environment["PGDATABASE"]
    url = fleet.url("mend_owner", searched, password=False).replace("postgresql:", "postgresql+psycopg2:")
    assert run("backup.sh", tmp_path / "all.dump", url, **environment).returncode == 0
    before = as_stock_optuna_sees_it(fleet.url("mend_viewer", searched))
    fleet.make_database(f"{searched}-2")
    assert run("restore.sh", tmp_path / "all.dump", url + "-2", **environment).returncode == 0
    assert as_stock_optuna_sees_it(fleet.url("mend_viewer", f"{searched}-2")) == before


def test_nothing_is_restored_over_a_database_that_holds_something(
    fleet: FleetServer, searched: str, tmp_path: Path
) -> None:
    environment = fleet.environment("mend_owner", searched)
    assert run("backup.sh", tmp_path / "all.dump", **environment).returncode == 0
    before = as_stock_optuna_sees_it(fleet.url("mend_viewer", searched))
    ended = run("restore.sh", tmp_path / "all.dump", **environment)
    assert ended.returncode == 2
    assert "the database is not empty: it holds" in ended.stderr
    assert as_stock_optuna_sees_it(fleet.url("mend_viewer", searched)) == before


def test_a_restore_that_fails_midway_leaves_nothing(
    fleet: FleetServer, searched: str, name: str, tmp_path: Path
) -> None:
    assert run("backup.sh", tmp_path / "all.dump", **fleet.environment("mend_owner", searched)).returncode == 0
    fleet.make_database(f"{name}-2")
    fleet.administer("-c", "CREATE TYPE trialstate AS ENUM ('OTHER')", database=f"{name}-2")
    ended = run("restore.sh", tmp_path / "all.dump", **fleet.environment("mend_owner", f"{name}-2"))
    assert ended.returncode == 3
    assert 'type "trialstate" already exists' in ended.stderr
    assert mendstore.summaries(fleet.url("mend_viewer", f"{name}-2")) == []


def test_a_backup_that_is_cut_off_or_ended_leaves_no_file(fleet: FleetServer, searched: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    environment = fleet.environment("mend_owner", searched)
    administrator = f"postgresql://postgres@/{searched}?host={fleet.folder}&port={fleet.port}"
    with connected(fleet.url("mend_owner", searched)) as cursor:
        for end in ("backend", "signal"):
            cursor.execute("BEGIN; LOCK TABLE trials")  # pg_dump waits for it
            waiting = subprocess.Popen(
                [SHIPPED / "backup.sh", folder / "all.dump"],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            deadline = time.monotonic() + 30
            while ask(administrator, WAITING, searched) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            if end == "backend":
                ask(administrator, "SELECT pg_terminate_backend(%s)", ask(administrator, WAITING, searched))
            else:
                os.killpg(waiting.pid, signal.SIGTERM)
            _, said = waiting.communicate(timeout=30)
            cursor.execute("ROLLBACK")
            assert waiting.returncode == (3 if end == "backend" else 128 + signal.SIGTERM), said
            assert list(folder.iterdir()) == []


@pytest.mark.parametrize("script", ["backup.sh", "restore.sh"])
def test_a_password_in_the_url_is_refused_and_not_repeated(fleet: FleetServer, script: str, tmp_path: Path) -> None:
    if script == "restore.sh":
        assert run("backup.sh", tmp_path / "all.dump", **fleet.environment("mend_owner")).returncode == 0
    for url in (fleet.url("mend_owner"), f"host=127.0.0.1 password={fleet.passwords['mend_owner']}"):
        ended = run(
            script, tmp_path / ("new.dump" if script == "backup.sh" else "all.dump"), url, **fleet.environment()
        )
        assert ended.returncode == 2
        assert "put it in PGPASSWORD or ~/.pgpass" in ended.stderr
        assert fleet.passwords["mend_owner"] not in ended.stderr + ended.stdout
    assert not (tmp_path / "new.dump").exists()


def test_mistakes_are_one_clear_line(fleet: FleetServer, tmp_path: Path) -> None:
    environment = fleet.environment("mend_owner")
    (tmp_path / "there.dump").write_text("not to be lost")
    for script, arguments, code, message in [
        ("backup.sh", [], 2, "usage: backup.sh FILE"),
        ("backup.sh", [tmp_path / "there.dump"], 2, "there.dump is there already"),
        ("backup.sh", [tmp_path / "none" / "a.dump"], 2, "no folder"),
        ("restore.sh", [], 2, "usage: restore.sh FILE"),
        ("restore.sh", [tmp_path / "none.dump"], 2, "none.dump cannot be read"),
        ("restore.sh", [tmp_path / "there.dump"], 2, "no backup that this pg_restore can read"),
    ]:
        ended = run(script, *arguments, **environment)
        assert (ended.returncode, ended.stdout) == (code, "")
        assert message in ended.stderr.splitlines()[-1]
    assert (tmp_path / "there.dump").read_text() == "not to be lost"
    away = environment | {"PGPORT": "1"}
    assert run("backup.sh", tmp_path / "away.dump", **away).returncode == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.dump"]
