"""The number of local workers is changed while a run is at work, with real processes."""

import json
import time

import mendstore
from mendstore.queries.fleet import events
from mendstore.queries.searches import find_search
from tests.acceptance.cli import ENVIRONMENT, mendsearch, start, trials_of
from tests.acceptance.test_fleet import COUNTED, SPEC, counted, wait_until


def summary(storage, name, cwd):
    ended = mendsearch("status", storage, name, "--json", cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)
    return found


def alive(storage, name):
    database = mendstore.Database(storage)
    try:
        return mendstore.alive(database, mendstore.find(database, name).study_id)
    finally:
        database.close()


def settled(storage, name, number, seconds=2.0):
    """Whether so many workers are alive, and stay: one whose share of the cores changes ends and starts again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if alive(storage, name) != number:
            return False
        time.sleep(0.1)
    return True


def test_local_workers_are_added_and_taken_away_while_a_run_is_at_work(tmp_path, storage, name, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "MENDSEARCH_CACHE", str(tmp_path / "cache"))
    trials = 100
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name, trials=trials))
    run = start("run", "spec.toml", "--out", "out", "--workers", "1", cwd=tmp_path, storage=storage)
    wait_until(lambda: len(counted(storage, name)) >= 3, run)
    assert summary(storage, name, tmp_path)["local_workers"] == 1
    ended = mendsearch("resize", storage, name, "--workers", "3", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "3 local workers on" in ended.stdout
    assert "1 before" in ended.stdout
    wait_until(lambda: alive(storage, name) == 3, run)
    found = summary(storage, name, tmp_path)
    assert (found["local_workers"], found["workers"]["alive"]) == (3, 3)
    assert mendsearch("resize", storage, name, "--workers", "1", cwd=tmp_path).returncode == 0
    wait_until(lambda: settled(storage, name, 1), run)
    _, stderr = run.communicate(timeout=240)
    assert run.returncode == 0, stderr
    assert len([trial for trial in trials_of(storage, name) if trial.state in COUNTED]) == trials
    reader = mendstore.Reader(storage)
    said = reader.read(lambda snapshot: events(snapshot, find_search(snapshot, name=name), last=100))
    reader.close()
    asked = [event.detail for event in said if event.kind == "workers"][::-1]
    assert [detail.partition(";")[0] for detail in asked] == [
        "local workers: 1 before, 3 now", "local workers: 3 before, 1 now"
    ]  # fmt: skip
    assert not {event.kind for event in said} & {"failed", "set aside"}
    assert summary(storage, name, tmp_path)["local_workers"] is None
    over = mendsearch("resize", storage, name, "--workers", "2", cwd=tmp_path)
    assert (over.returncode, over.stderr.count("\n")) == (2, 1)
    assert mendstore.command("launch", storage, name, "--workers", "2") in over.stderr
