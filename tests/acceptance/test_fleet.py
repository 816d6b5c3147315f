"""Searches that many workers run, as a user runs them: processes of their own, real signals, a real database that goes away."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

import mendstore
from tests.acceptance.cli import ENVIRONMENT, as_ended, fine_tuned, ladder_of, mendsearch, start, trials_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "user_model"
SPEC = """
name = "{name}"
model = {{ name = "digits-resnet", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = 0.3
train.epochs = 3
mend.trials = {trials}
finetune.epochs = 1
fleet.lease_s = 10
"""
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)


def counted(storage, name):
    return [as_ended(trial) for trial in trials_of(storage, name) if trial.state in COUNTED]


def wait_until(condition, process, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"it ended before: {process.stderr.read()}")
        if time.monotonic() > deadline:
            pytest.fail("the moment never came")
        time.sleep(0.1)


def best_is_exported(result, ladder):
    """What is exported stands best as it is kept, by what the workers measured."""
    stands = {name: row["validation"][-1 if row["part"] else 0] for name, row in result["finalists"].items()}
    assert stands[result["exported"]] == max(stands.values())
    for finalist in ladder.finalists:
        assert result["finalists"][finalist.name]["validation"][1:] == [step.value for step in finalist.done]


def ending(process):
    """Its exit code."""
    process.communicate(timeout=120)
    return process.returncode


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Blobs and spooled results of this test alone."""
    monkeypatch.setitem(ENVIRONMENT, "MENDSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def created(tmp_path, storage, name, cache):
    """A search in the database, made in a folder that workers do not see."""

    def create(trials, spec=SPEC):
        home = tmp_path / "home"
        home.mkdir()
        (home / "spec.toml").write_text(spec.format(name=name, trials=trials))
        ended = mendsearch("create", "spec.toml", cwd=home, storage=storage)
        assert ended.returncode == 0, ended.stderr
        assert "mendsearch launch" in ended.stdout
        (tmp_path / "node").mkdir()
        return home, tmp_path / "node"

    return create


def test_workers_join_with_a_url_and_a_name_and_the_creator_ends_the_job(created, storage, name):
    home, node = created(14)
    workers = [start("worker", storage, name, cwd=node, storage=storage) for _ in range(2)]
    assert [ending(worker) for worker in workers] == [0, 0]
    assert len(counted(storage, name)) == 14
    assert ladder_of(storage, name).over, "workers fine-tune the finalists too"
    assert list(node.iterdir()) == []
    again = mendsearch("worker", storage, name, cwd=node)
    assert again.returncode == 0, again.stderr
    ended = mendsearch("run", "spec.toml", "--json", cwd=home, storage=storage)
    assert ended.returncode == 0, ended.stderr
    trials = json.loads(ended.stdout)["trials"]
    assert trials["complete"] + trials["stopped_early"] == 14
    assert len(trials_of(storage, name)) == 14
    assert "fine-tune:" not in ended.stderr
    found, result = ladder_of(storage, name), json.loads(ended.stdout)
    best_is_exported(result, found)
    for finalist in found.finalists:
        assert result["finalists"][finalist.name]["validation"][1:] == [step.value for step in finalist.done]


def test_resume_adds_trials_stop_ends_workers_and_delete_waits_for_them(created, storage, name):
    _, node = created(400)
    worker = start("worker", name, cwd=node, storage=storage)
    wait_until(lambda: len(counted(storage, name)) >= 3, worker)
    refused = mendsearch("delete", name, "--yes", cwd=node, storage=storage)
    assert refused.returncode == 2
    assert "1 worker at work" in refused.stderr
    stopped = mendsearch("stop", name, cwd=node, storage=storage)
    assert "1 worker asked to stop" in stopped.stdout
    assert ending(worker) == 0
    done = len(counted(storage, name))
    launched = mendsearch("launch", name, "--workers", "1", cwd=node, storage=storage)
    assert (launched.returncode, launched.stderr.count("\n")) == (2, 1)
    assert mendstore.command("resume", storage, name) in launched.stderr
    ended = mendsearch("resume", storage, name, "--trials", str(done), cwd=node)
    assert f"{done} of {done} trials done" in ended.stdout
    launched = mendsearch("launch", name, "--workers", "1", cwd=node, storage=storage)
    assert launched.returncode == 0, launched.stderr
    assert ladder_of(storage, name).over, "the finalists among the trials that there are"
    launched = mendsearch("launch", name, "--workers", "1", cwd=node, storage=storage)
    assert (launched.returncode, launched.stderr) == (0, "")
    assert f"has all its {done} trials" in launched.stdout
    ended = mendsearch("resume", storage, name, "--trials", "+2", cwd=node)
    assert f"{done} of {done + 2} trials done, 0 workers" in ended.stdout
    assert mendsearch("worker", name, cwd=node, storage=storage).returncode == 0
    assert len(counted(storage, name)) == done + 2
    assert mendsearch("delete", name, "--yes", cwd=node, storage=storage).returncode == 0
    assert trials_of(storage, name) == []
    gone = mendsearch("worker", name, cwd=node, storage=storage)
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["SIGTERM", "SIGUSR1"])
def test_a_signal_ends_a_worker_with_nothing_lost(created, storage, name, number):
    _, node = created(300)
    worker = start("worker", name, cwd=node, storage=storage)
    wait_until(lambda: len(counted(storage, name)) >= 3, worker)
    started = time.monotonic()
    worker.send_signal(number)
    _, stderr = worker.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert worker.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    assert all(trial.state in COUNTED for trial in trials_of(storage, name))


def test_a_run_with_workers_that_is_killed_whole_ends_right_by_the_same_command(tmp_path, storage, name, cache):
    trials = 40
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name, trials=trials))
    command = ("run", "spec.toml", "--out", "out", "--workers", "2")
    run = start(*command, cwd=tmp_path, storage=storage)
    wait_until(lambda: len(counted(storage, name)) >= 8, run)
    run.kill()
    run.communicate()
    kept = {trial.number: trial for trial in counted(storage, name)}
    again = start(*command, cwd=tmp_path, storage=storage)
    wait_until(lambda: fine_tuned(storage, name) >= 2, again, seconds=240)
    again.kill()
    again.communicate()
    tuned = {step.weights for step in ladder_of(storage, name).steps if step.state == "done"}
    ended = mendsearch(*command, "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    assert len(counted(storage, name)) == trials
    now = {trial.number: trial for trial in counted(storage, name)}
    assert {number: now[number] for number in kept} == kept
    assert {trial.state for trial in trials_of(storage, name)} <= {*COUNTED, TrialState.FAIL}
    result = json.loads(ended.stdout)
    assert result["trials"]["complete"] + result["trials"]["stopped_early"] == trials
    found = ladder_of(storage, name)
    assert tuned <= {step.weights for step in found.steps}, "no fine-tuning is done twice"
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
    best_is_exported(result, found)


@pytest.fixture
def own_server(tmp_path):
    server = mendstore.EmbeddedServer(tmp_path / "database" / ".mendsearch")
    yield server
    server.stop()


def test_a_database_that_goes_away_is_waited_for_and_past_the_limit_results_wait_on_the_disk(
    tmp_path, own_server, name, cache
):
    url = own_server.start()
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name, trials=4000))
    assert mendsearch("create", "spec.toml", "--storage", url, cwd=tmp_path).returncode == 0
    worker = start("worker", url, name, "--outage", "12", cwd=tmp_path, storage=url)
    wait_until(lambda: len(counted(url, name)) >= 3, worker)
    own_server.stop()
    time.sleep(3)
    assert worker.poll() is None
    own_server.start()
    before = len(counted(url, name))
    wait_until(lambda: len(counted(url, name)) >= before + 3, worker)
    own_server.stop()
    _, stderr = worker.communicate(timeout=90)
    assert worker.returncode == 3, stderr
    assert "Traceback" not in stderr
    spooled = [json.loads(line) for path in cache.rglob("*.jsonl") for line in path.read_text().splitlines()]
    own_server.start()
    before = len(counted(url, name))
    assert mendsearch("resume", url, name, "--trials", str(before + len(spooled)), cwd=tmp_path).returncode == 0
    assert mendsearch("worker", url, name, cwd=tmp_path).returncode == 0
    assert len(counted(url, name)) == before + len(spooled)
    if spooled:  # the worker may have been at its next claim
        values = {trial.value for trial in counted(url, name)}
        assert spooled[0]["value"] in values
    assert not list(cache.rglob("*.jsonl"))


def test_a_network_of_ones_own_needs_the_workers_leave_and_the_same_code(tmp_path, storage, name, cache):
    shutil.copytree(EXAMPLE, tmp_path / "user_model")
    small = ("--set", f'name="{name}"', "--set", "train.epochs=1", "--set", "mend.trials=6")
    made = mendsearch("create", "user_model/shapes.toml", *small, cwd=tmp_path, storage=storage)
    assert made.returncode == 0, made.stderr
    refused = mendsearch("worker", name, cwd=tmp_path, storage=storage)
    assert refused.returncode == 2
    assert "does not allow" in refused.stderr
    allowed = mendsearch("worker", name, "--allow", "user_model", cwd=tmp_path, storage=storage)
    assert allowed.returncode == 0, allowed.stderr
    assert len(counted(storage, name)) == 6
    with open(tmp_path / "user_model" / "net.py", "a") as file:
        file.write("\n# another version\n")
    other = mendsearch("worker", name, "--allow", "user_model", cwd=tmp_path, storage=storage)
    assert other.returncode == 2
    assert "code of user_model" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("worker", "x"), ("status",), ("status", "x")], ids=" ".join)
def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(tmp_path, command):
    verb, *name = command
    ended = mendsearch(verb, "postgresql://u:secret@127.0.0.1:1/db", *name, cwd=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert "secret" not in ended.stderr + ended.stdout
