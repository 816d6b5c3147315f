"""The last rungs by workers that are killed: real processes, a real Postgres."""

import signal
import threading
import time
from contextlib import closing

import numpy as np
import pytest
import torch

import mendstore
from mendsearch.config import parse_spec
from mendsearch.files import read_tensors
from mendsearch.fleet.bundle import download
from mendsearch.fleet.tuner import recipe_of, tuner_here
from mendsearch.pipeline import stages
from mendsearch.progress import Reporter
from mendstore.blobs import Blobs
from tests.cases.slow_loss import LAST, SLOW
from tests.integration.fleet.workers import DIES_CHOOSING, Lines, climb, worker
from tests.integration.mendstore.test_queue import execute

QUIET = Reporter(quiet=True)


def spec_of(name, **changes):
    table = {
        "name": name, "model": {"name": "digits-resnet", "kwargs": {"width": 4}}, "data": {"name": "digits", "calibration": 64, "validation": 128},
        "budget": {"macs": 0.4}, "train": {"epochs": 1}, "mend": {"trials": 2},
        "finetune": {"epochs": 8, "images": 32, "batch_size": 16, "finalists": 1, "loss": "tests.cases.slow_loss:loss"},
        "fleet": {"checkpoint_s": 0, "lease_s": 2},
    }  # fmt: skip
    return parse_spec(table | changes, "test")


@pytest.fixture
def created(tmp_path, storage, name, monkeypatch):
    """A search that is registered with its bundle: 2 trials, and 5 finalists at the most."""
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "cache"))
    spec = spec_of(name)
    stages.create_search(spec, tmp_path / "out", storage, None, QUIET)
    return spec


def ladder_of(url, spec):
    with closing(mendstore.Database(url)) as database:
        try:
            return mendstore.ladder(database, mendstore.find(database, spec.name), recipe_of(spec))
        except mendstore.StorageError:
            return None


def wait_until(condition, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.05)


def test_what_killed_workers_left_is_finished_to_the_same_weights(storage, created, tmp_path):
    """One dies while it chooses, one in the second pass of its first fine-tuning; each pass has two steps."""
    with worker(storage, created, **{DIES_CHOOSING: "1"}) as child:
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert ladder_of(storage, created).choice == "leased"
    with worker(storage, created, **{LAST: "3"}) as child:
        child.join()
        assert child.exitcode == -signal.SIGKILL
    [left] = [step for step in ladder_of(storage, created).steps if step.state == "leased"]
    assert (left.rung, left.epoch) == (0, 1)
    reporter = Lines()
    climb(storage, created, reporter)
    assert sum("goes on after pass 1" in line for line in reporter.said) == 1
    found = ladder_of(storage, created)
    assert found.over
    assert len(found.steps) == sum(found.places)
    assert {step.state for step in found.steps} == {"done"}
    undisturbed(storage, created, found, tmp_path)


def undisturbed(url, spec, found, folder):
    """Every finalist's weights are those of fine-tunings that nothing interrupts."""
    with closing(mendstore.Database(url)) as database:
        _, search = download(database, mendstore.find(database, spec.name), ["tests"], QUIET)
        tuner, path = tuner_here(spec, search, None, ["tests"], QUIET), folder / "weights"
        for finalist in found.distinct:
            model = tuner.model(np.array([int(count) for count in finalist.key.split(",")]), None)
            for step in finalist.done:
                model = tuner.tune(model, step.rung, folder / f"{finalist.name}-{step.rung}", lambda loss: None)
                Blobs(database).save(step.weights, path)
                kept, state = read_tensors(path), model.state_dict()
                assert kept.keys() == state.keys()
                assert all(torch.equal(kept[name], tensor) for name, tensor in state.items())
                assert step.value == tuner.measure.standing(model).value


def test_n_fine_tunings_asked_are_n_done_though_each_loses_its_worker(storage, created):
    """Two workers at a time, each killed in the second pass of its first fine-tuning that has more than one to go."""
    kills = 0
    while (found := ladder_of(storage, created)) is None or not found.over:
        assert kills < 40
        with worker(storage, created, **{LAST: "3"}) as first, worker(storage, created, **{LAST: "3"}) as second:
            for child in (first, second):
                child.join()
                assert child.exitcode in (0, -signal.SIGKILL)
                kills += child.exitcode != 0
    assert kills >= len(found.steps)
    assert {step.state for step in found.steps} == {"done"}
    assert len(found.steps) == sum(found.places)
    with closing(mendstore.Database(storage)) as database:
        study = mendstore.find(database, created.name).study_id
        counted = execute(database, "SELECT count(*), count(DISTINCT weights) FROM mend_tasks WHERE kind = 'finetune' AND study_id = :s", s=study)  # fmt: skip
        assert tuple(counted.one()) == (sum(found.places), sum(found.places))
        assert mendstore.progress(database, study)[0] == 2


def test_an_outage_during_a_fine_tuning_loses_nothing(tmp_path, name, monkeypatch):
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "cache"))
    server, spec = mendstore.EmbeddedServer(tmp_path / "database" / ".mendsearch"), spec_of(name)
    url = server.start()
    try:
        stages.create_search(spec, tmp_path / "out", url, None, QUIET)
        with worker(url, spec, **{SLOW: "0.2"}) as child:
            wait_until(lambda: not child.is_alive() or _leased(url, spec))
            server.stop()
            time.sleep(3)  # more than a lease
            assert child.is_alive()
            server.start()
            child.join()
            assert child.exitcode == 0
        found = ladder_of(url, spec)
        assert found.over
        assert all(step.state == "done" and step.log is None for step in found.steps)
    finally:
        server.stop()


def _leased(url, spec):
    found = ladder_of(url, spec)
    return found is not None and any(step.state == "leased" and step.epoch for step in found.steps)


def test_a_worker_that_is_asked_to_stop_gives_its_fine_tuning_back_after_the_pass(storage, created):
    stop_event, reporter = threading.Event(), Lines()
    kept = mendstore.Tasks.keep

    def keep(tasks, task, checkpoint, epoch):
        stop_event.set()
        return kept(tasks, task, checkpoint, epoch)

    mendstore.Tasks.keep = keep
    try:
        climb(storage, created, reporter, stop_event=stop_event)
    finally:
        mendstore.Tasks.keep = kept
    [step] = [step for step in ladder_of(storage, created).steps if step.epoch]
    assert (step.state, step.epoch) == ("waiting", 1)


def test_a_worker_that_may_not_import_the_loss_runs_trials_and_says_why_it_takes_no_fine_tunings(storage, created):
    reporter = Lines()
    climb(storage, created, reporter, allow=())
    found = ladder_of(storage, created)
    assert found.choice == "done"
    assert {step.state for step in found.steps} == {"waiting"}
    [line] = [line for line in reporter.said if "takes no fine-tunings" in line]
    assert "asks to import `tests.cases.slow_loss`" in line


def test_a_worker_with_other_data_takes_no_fine_tunings(storage, created):
    with closing(mendstore.Database(storage)) as database:
        _, search = download(database, mendstore.find(database, created.name), ["tests"], QUIET)
    other, reporter = created.model_copy(update={"seed": 1}), Lines()
    assert tuner_here(other, search, None, ["tests"], reporter) is None
    assert "got other items than the search was made from" in reporter.said[0]
