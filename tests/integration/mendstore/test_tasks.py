"""The last rungs on a real Postgres: each fine-tuning is done once, and each rung is promoted once, whatever dies."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mendstore
from mendsearch.mending.ladder import RUNGS, Standing, climb, places
from mendstore import ChosenFinalist, Queue, Tasks, Tuned
from tests.integration.mendstore.test_queue import LEASE_S, execute, proposal, registered, result, trials_of

TRIALS = 4
BOTH = ("choose", "finetune")


@pytest.fixture
def url(storage):
    mendstore.upgrade(storage)
    return storage


@pytest.fixture
def database(url, tmp_path, monkeypatch):
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "cache"))
    database = mendstore.Database(url)
    yield database
    database.close()


class Worker:
    """A worker that has the data."""

    def __init__(self, database, search, folder, recipe="recipe"):
        self.queue = Queue(database, search, "cpu", folder)
        self.tasks = Tasks(database, self.queue, recipe, None, folder)
        self.folder = folder

    def file(self, content):
        path = self.folder / f"{content}.bin"
        path.write_bytes(content.encode())
        return path

    def claim(self, kinds=BOTH):
        return self.tasks.claim(kinds)

    def take(self):
        status, task = self.claim()
        assert status == "claimed"
        return task

    def choose(self, names, task=None):
        task = task or self.take()
        assert task.kind == "choose"
        finalists = [ChosenFinalist(name, key, {"a": 1}, -float(at)) for at, (name, key) in enumerate(names.items())]
        rungs = [
            {"part": part, "places": count} for part, count in zip(RUNGS, places(len(set(names.values()))), strict=True)
        ]
        return self.tasks.choose(task, finalists, rungs, 0.5)

    def finish(self, task, value, tie=0.0):
        return self.tasks.finish(task, Tuned(value, tie, 0.1), self.file(f"weights-{task.key}-{task.rung}"))


@pytest.fixture
def search(database, name, tmp_path):
    """A search whose trials are done."""
    search = registered(database, name, TRIALS)
    queue = Queue(database, search, "cpu", tmp_path)
    for number in range(TRIALS):
        _, [claim] = queue.claim([proposal(number, 0)])
        queue.finish(result(claim, -1.0 - number))
    queue.leave("finished")
    return search


@pytest.fixture
def worker_of(database, search, tmp_path):
    return lambda: Worker(database, search, tmp_path)


SIX = {"uniform": "0,0", "pre_pruned": "1,0", "curves": "1,0", "mended": "2,0", "mended_2": "3,0"}


def expire(database, search):
    execute(
        database, "UPDATE mend_tasks SET expires_at = now() - interval '1 s' WHERE study_id = :s", s=search.study_id
    )
    execute(
        database,
        "UPDATE mend_searches SET heard_at = now() + interval '1 h', lease_s = 0.001, grace_until = NULL WHERE study_id = :s",
        s=search.study_id,
    )
    time.sleep(0.01)


def restore_lease(database, search):
    execute(database, "UPDATE mend_searches SET lease_s = :l WHERE study_id = :s", l=LEASE_S, s=search.study_id)


def blobs_named(database, search):
    found = execute(
        database,
        "SELECT count(*) FROM mend_blobs b JOIN mend_tasks t ON b.digest IN (t.weights, t.checkpoint) WHERE study_id = :s",
        s=search.study_id,
    )
    return found.scalar()


def test_there_is_no_task_before_the_trials_are_done(database, name, tmp_path):
    search = registered(database, name, 2)
    worker = Worker(database, search, tmp_path)
    assert worker.claim() == ("trials", None)
    assert mendstore.ladder(database, search) is None


def test_finalists_are_chosen_then_the_better_half_is_promoted_until_the_last_rung(
    database, search, worker_of, url, name
):
    worker = worker_of()
    assert worker.choose(SIX) == "recorded"
    first = [worker.take() for _ in range(4)]
    assert [(task.kind, task.rung, task.key, task.name) for task in first] == [
        ("finetune", 0, "0,0", "uniform"), ("finetune", 0, "1,0", "pre_pruned"),
        ("finetune", 0, "2,0", "mended"), ("finetune", 0, "3,0", "mended_2"),
    ]  # fmt: skip
    assert {task.start for task in first} == {None}
    for task, value in zip(first, (0.1, 0.4, 0.2, 0.3), strict=True):
        assert worker.finish(task, value) == "recorded"
    second = [worker.take() for _ in range(2)]
    assert {(task.rung, task.name) for task in second} == {(1, "pre_pruned"), (1, "mended_2")}
    assert all(task.start is not None for task in second)
    for task in second:
        worker.finish(task, 0.9 if task.name == "mended_2" else 0.5)
    last = worker.take()
    assert (last.rung, last.name) == (2, "mended_2")
    worker.finish(last, 0.6)
    assert worker.claim() == ("finished", None)
    found = mendstore.ladder(database, search)
    assert found.over
    assert (found.parts, found.places) == (RUNGS, (4, 2, 1))
    assert [finalist.name for finalist in found.finalists] == list(SIX)
    assert {finalist.name: len(finalist.done) for finalist in found.distinct} == {
        "uniform": 1, "pre_pruned": 2, "mended": 1, "mended_2": 3,
    }  # fmt: skip
    assert found.best.name == "mended_2"
    attributes = {trial.params["restore/a"]: trial.user_attrs for trial in trials_of(url, name)}
    assert attributes[0] == {"refined_score": 0, "rung": "fine-tuned 0.25", "finetuned": {"0.25": 0.1}}
    assert attributes[3]["finetuned"] == {"0.25": 0.3, "0.5": 0.9, "1.0": 0.6}
    assert len(trials_of(url, name)) == TRIALS, "a fine-tuning is no trial"


@given(values=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=9), seed=st.integers(0, 9))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_promotes_as_the_ladder_says(database, tmp_path, values, seed):
    search = registered(database, f"ladder-{os.urandom(6).hex()}", 1)
    worker, source = Worker(database, search, tmp_path), random.Random(seed)
    worker.queue.finish(result(worker.queue.claim([proposal(0, 0)])[1][0]))
    names = {f"finalist {at}": str(at) for at in range(len(values))}
    stands = {
        key: [Standing(value / 10 + source.randrange(3), tie) for _ in RUNGS]
        for key, (value, tie) in zip(names, values, strict=True)
    }
    expected = climb(names, lambda name, rung: stands[name][rung])
    worker.choose(names)
    while (claimed := worker.claim())[0] == "claimed":
        standing = stands[claimed[1].name][claimed[1].rung]
        worker.finish(claimed[1], standing.value, standing.tie)
    found = mendstore.ladder(database, search)
    assert {finalist.name: len(finalist.done) for finalist in found.finalists} == {
        name: len(reached) for name, reached in expected.items()
    }
    assert stands[found.best.name][len(found.best.done) - 1] == max(standings[-1] for standings in expected.values())


def test_two_workers_that_finish_the_last_two_together_promote_once(url, search, database, tmp_path):
    for _ in range(4):
        execute(database, "DELETE FROM mend_tasks WHERE study_id = :s", s=search.study_id)
        databases = [mendstore.Database(url) for _ in range(2)]
        workers = [Worker(own, search, tmp_path) for own in databases]
        workers[0].choose({"uniform": "0,0", "mended": "2,0"})
        tasks = [worker.take() for worker in workers]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: pair[0].finish(pair[1], 0.5), zip(workers, tasks, strict=True)))
        [step] = [step for step in mendstore.ladder(database, search).steps if step.rung == 1]
        assert step.state == "waiting"
        for own in databases:
            own.close()


def test_a_lease_that_ran_out_goes_to_another_and_the_first_result_counts(database, search, worker_of):
    lost, other = worker_of(), worker_of()
    lost.choose({"uniform": "0,0", "mended": "2,0"})
    task = lost.take()
    expire(database, search)
    other.queue.renew()
    restore_lease(database, search)
    retry = next(found for found in (other.take(), other.take()) if found.key == task.key)
    assert (retry.task_id, retry.attempt) == (task.task_id, 2)
    assert lost.finish(task, 0.7) == "late"
    assert other.finish(retry, 0.2) == "dropped"
    found = mendstore.ladder(database, search)
    assert [step.value for step in found.steps if step.state == "done"] == [0.7]


def test_the_heartbeat_renews_a_task(database, search, worker_of):
    worker, other = worker_of(), worker_of()
    worker.choose({"uniform": "0,0"})
    task = worker.take()
    execute(database, "UPDATE mend_tasks SET expires_at = now() WHERE task_id = :t", t=task.task_id)
    worker.queue.renew()
    left = "SELECT expires_at > now() + interval '50 s' FROM mend_tasks WHERE task_id = :t"
    assert execute(database, left, t=task.task_id).scalar()
    other.queue.renew()
    assert other.claim() == ("wait", None)


def test_a_choice_whose_holder_died_is_made_by_another(database, search, worker_of):
    lost, other = worker_of(), worker_of()
    task = lost.take()
    lost.queue.leave("killed", counts=True)
    assert other.choose({"uniform": "0,0"}) == "recorded"
    assert lost.choose({"mended": "2,0"}, task) == "dropped"
    assert [finalist.name for finalist in mendstore.ladder(database, search).finalists] == ["uniform"]


def test_a_checkpoint_comes_with_the_next_claim_and_the_one_before_is_removed(database, search, worker_of):
    worker, other = worker_of(), worker_of()
    worker.choose({"uniform": "0,0"})
    task = worker.take()
    assert (task.checkpoint, task.epoch) == (None, 0)
    assert worker.tasks.keep(task, worker.file("first"), 1)
    assert worker.tasks.keep(task, worker.file("second"), 2)
    assert blobs_named(database, search) == 1
    held = "SELECT count(*) FROM mend_blobs WHERE bytes = 5"  # `first`
    assert execute(database, held).scalar() == 0
    worker.queue.leave("killed", counts=True)
    again = other.take()
    assert (again.epoch, again.attempt) == (2, 2)
    other.tasks.fetch(again.checkpoint, other.folder / "found")
    assert (other.folder / "found").read_bytes() == b"second"
    assert worker.tasks.keep(task, worker.file("third"), 3), "another has the lease, but a result is still wanted"
    other.finish(again, 0.5)
    assert not worker.tasks.keep(task, worker.file("fourth"), 4)
    assert (
        execute(
            database, "SELECT weights FROM mend_tasks WHERE checkpoint IS NOT NULL AND study_id = :s", s=search.study_id
        ).all()
        == []
    )


def test_what_tasks_name_is_not_collected(database, search, worker_of):
    worker = worker_of()
    worker.choose({"uniform": "0,0"})
    task = worker.take()
    worker.tasks.keep(task, worker.file("checkpoint of mine"), 1)
    worker.finish(task, 0.5)
    after = worker.take()
    worker.tasks.keep(after, worker.file("another checkpoint"), 1)
    mendstore.collect(database, grace_s=0)
    worker.tasks.fetch(after.start, worker.folder / "weights")
    assert blobs_named(database, search) == 2


def test_a_task_that_gets_no_further_is_set_aside_after_three_attempts_and_its_rung_goes_on(
    database, search, worker_of
):
    worker = worker_of()
    worker.choose({"uniform": "0,0", "mended": "2,0"})
    failures = 0
    while (claimed := worker.claim())[0] == "claimed" and claimed[1].rung == 0:
        if claimed[1].name == "uniform":
            worker.tasks.fail(claimed[1], "out of memory", "a traceback")
            failures += 1
        else:
            worker.finish(claimed[1], 0.1)
    assert failures == 3
    assert claimed[1].name == "mended"
    found = mendstore.ladder(database, search)
    [aside] = [step for step in found.steps if step.state == "set_aside"]
    assert aside.log.count("out of memory") == 3
    assert mendstore.try_again(database, search) == 1
    assert worker.take().name == "uniform"


def test_a_task_that_gets_further_each_time_is_not_set_aside(database, search, worker_of):
    first = worker_of()
    first.choose({"uniform": "0,0"})
    for epoch in range(1, 6):
        worker = worker_of()
        worker.tasks.keep(worker.take(), worker.file(f"epoch {epoch}"), epoch)
        worker.queue.leave("killed", counts=True)
    assert worker_of().take().epoch == 5


def test_what_is_given_back_is_no_fault(database, search, worker_of):
    for _ in range(5):
        worker = worker_of()
        task = worker.take()
        assert task.attempt == 1
        worker.tasks.give_back(task, "asked to stop")


def test_a_worker_without_the_data_chooses_but_fine_tunes_nothing(database, search, worker_of):
    without, whole = worker_of(), worker_of()
    task = whole.take()
    assert without.claim(["choose"]) == ("wait", None)
    whole.choose({"uniform": "0,0"}, task)
    assert without.claim(["choose"]) == ("elsewhere", None)


def test_more_trials_come_first_then_finalists_are_chosen_anew_and_what_is_fine_tuned_stays(
    database, search, worker_of
):
    worker = worker_of()
    worker.choose({"uniform": "0,0", "mended": "2,0"})
    worker.finish(worker.take(), 0.5)
    held = worker.take()
    mendstore.enlarge(database, search, by=1)
    assert worker.claim() == ("trials", None)
    [claim] = worker.queue.claim([proposal(9, 9)])[1]
    worker.queue.finish(result(claim))
    worker.tasks.give_back(held, "asked to stop")
    assert worker.choose({"uniform": "0,0", "mended": "9,9"}) == "recorded"
    assert [worker.take().key, worker.claim()] == ["9,9", ("wait", None)]
    [uniform, mended] = mendstore.ladder(database, search).finalists
    assert [step.state for step in uniform.fine_tunings] == ["done"]
    assert [step.state for step in mended.fine_tunings] == ["leased"]


def test_another_recipe_has_finalists_and_fine_tunings_of_its_own(database, search, worker_of, tmp_path):
    worker, other = worker_of(), Worker(database, search, tmp_path, "other recipe")
    worker.choose({"uniform": "0,0"})
    worker.finish(worker.take(), 0.5)
    assert other.choose({"uniform": "0,0"}) == "recorded"
    assert (other.take().rung, worker.take().rung) == (0, 1)
    assert len(mendstore.ladder(database, search, "other recipe").steps) == 1


def test_an_answer_that_was_lost_is_given_again(database, search, worker_of):
    worker = worker_of()
    task = worker.take()
    worker.tasks._holding.clear()  # the answer never came
    assert worker.take() == task


def test_a_search_that_is_stopped_gives_no_task(database, search, worker_of):
    worker = worker_of()
    mendstore.stop(database, search)
    assert worker.claim() == ("stopping", None)


def test_a_result_that_could_not_be_sent_is_sent_by_the_next_worker_on_the_node(
    url, database, search, worker_of, tmp_path
):
    child = os.fork()
    if child == 0:
        own = mendstore.Database(url)
        worker = Worker(own, search, tmp_path)
        worker.choose({"uniform": "0,0"})
        task = worker.take()
        own.engine.dispose()
        own.engine = mendstore.Database("postgresql://nobody@127.0.0.1:1/none").engine  # it is away from now on
        try:
            worker.finish(task, 0.75)
        except mendstore.StorageError:
            os._exit(9)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    worker = worker_of()
    [step, *_] = mendstore.ladder(database, search).steps
    assert (step.state, step.value) == ("done", 0.75)
    worker.tasks.fetch(step.weights, tmp_path / "found")
    assert (tmp_path / "found").read_bytes() == b"weights-0,0-0"
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.jsonl"))
