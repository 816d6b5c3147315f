"""Ended at any moment and run again, a run goes on; no finished stage or trial is done twice."""

import json
import signal
import time

import pytest
from optuna.trial import TrialState

import mendstore
from mendstore.queries.fleet import events
from mendstore.queries.searches import find_search
from tests.acceptance.cli import as_ended, fine_tuned, ladder_of, mendsearch, start, trials_of

TRIALS = 25
SPEC = """
name = "{name}"
model = {{ name = "digits-resnet", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = 0.3
train.epochs = 6
mend.trials = {trials}
finetune.epochs = 4
"""
MOMENTS = {
    "training": lambda out, trials: (out / "train.checkpoint").is_file(),
    "ranking": lambda out, trials: (out / "dense.safetensors").is_file(),
    "the first trials": lambda out, trials: trials >= 2,
    "later trials": lambda out, trials: trials >= TRIALS - 8,
    "fine-tuning": lambda out, trials: trials >= 1,
}


def finished_trials(storage, name):
    counted = (TrialState.COMPLETE, TrialState.PRUNED)
    return {trial.number: as_ended(trial) for trial in trials_of(storage, name) if trial.state in counted}


def wait_for(moment, process, out, storage, name):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"it ended before its moment: {process.stderr.read()}")
        count = len(finished_trials(storage, name)) if "trials" in moment else 0
        if moment == "fine-tuning":
            count = fine_tuned(storage, name)
        if MOMENTS[moment](out, count):
            return
        time.sleep(0.02)
    pytest.fail(f"the moment never came: {moment}")


@pytest.mark.timeout(900)  # seven runs, each of which imports PyTorch
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["kill -9", "Ctrl-C", "SIGTERM"])
def test_a_run_that_is_ended_again_and_again_ends_right(tmp_path, storage, name, end):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name, trials=TRIALS))
    command, out = ("run", "spec.toml", "--out", "out"), tmp_path / "out"
    kept, files = {}, {}
    for moment in MOMENTS:
        process = start(*command, cwd=tmp_path, storage=storage)
        wait_for(moment, process, out, storage, name)
        process.send_signal(end)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == (-end if end == signal.SIGKILL else 128 + end), stderr
        assert "Traceback" not in stderr
        now = finished_trials(storage, name)
        assert {number: now[number] for number in kept} == kept
        kept |= now
        for path in (out / "dense.safetensors", out / "ranking.safetensors"):
            recorded = json.loads((out / "stages.json").read_text()) if (out / "stages.json").is_file() else {}
            if (
                path.stem in {"dense": "train", "ranking": "rank"}
                and {"dense": "train", "ranking": "rank"}[path.stem] in recorded
            ):
                assert files.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    ended = mendsearch(*command, "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["trials"]["complete"] + result["trials"]["stopped_early"] == TRIALS
    now = finished_trials(storage, name)
    assert {number: now[number] for number in kept} == kept
    assert len(now) == TRIALS
    assert len({str(trial.params) for trial in now.values()}) == TRIALS
    assert all(path.stat().st_mtime_ns == changed for path, changed in files.items())
    assert len(files) == 2
    unbroken = mendsearch(
        "run",
        "spec.toml",
        "--out",
        "elsewhere/other",
        "--set",
        f'name="{name}-b"',
        "--json",
        cwd=tmp_path,
        storage=storage,
    )
    assert json.loads(unbroken.stdout)["dense"]["accuracy"] == result["dense"]["accuracy"]


SLOW_LOSS = """
import time

from torch.nn import functional


def loss(outputs, targets):
    time.sleep(600)
    return functional.cross_entropy(outputs, targets)
"""


def fine_tunings(storage, name):
    found = ladder_of(storage, name)
    return [] if found is None else [step.state for step in found.steps]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_is_ended_in_the_middle_of_a_long_pass_and_its_fine_tuning_waits(tmp_path, storage, name, workers):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name, trials=2) + 'finetune.loss = "slow:loss"\nseed = 1\n')
    (tmp_path / "slow.py").write_text(SLOW_LOSS)
    run = start("run", "spec.toml", "--out", "out", "--workers", workers, cwd=tmp_path, storage=storage)
    deadline = time.monotonic() + 200
    while "leased" not in fine_tunings(storage, name):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline, "no fine-tuning began"
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM, stderr
    assert "Traceback" not in stderr
    assert set(fine_tunings(storage, name)) == {"waiting"}
    reader = mendstore.Reader(storage)
    found = reader.read(lambda snapshot: events(snapshot, find_search(snapshot, name=name)))
    reader.close()
    assert {event.kind for event in found} == {"joined", "left"}, "a stop is no fault"
    assert all("lost" not in event.detail for event in found)
