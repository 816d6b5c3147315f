"""Changes of a search: a stop is no fault, who made them stands in the events, and none falls into a claim."""

import getpass
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

import mendstore
from mendstore.queries.fleet import events, fleet_status
from mendstore.queries.pace import pace_of
from mendstore.queries.searches import find_search

DISTRIBUTION = '{"name": "IntDistribution", "attributes": {"low": 0, "high": 9, "step": 1, "log": false}}'


def registered(database, name, trials):
    return mendstore.register(
        database,
        name,
        trials=trials,
        distributions={"x": DISTRIBUTION},
        fingerprint="same",
        spec={},
        versions={},
        starts=[("1", {"x": 1.0})],
    )


def read(storage, name, question):
    reader = mendstore.Reader(storage)
    try:
        return reader.read(lambda snapshot: question(snapshot, find_search(snapshot, name=name)))
    finally:
        reader.close()


def test_who_stopped_resumed_and_enlarged_it_is_in_the_events(database, storage, name):
    search = registered(database, name, 5)
    mendstore.stop(database, search)
    mendstore.stop(database, search)
    mendstore.enlarge(database, search, by=10)
    mendstore.enlarge(database, search)
    registered(database, name, 30)
    found = read(storage, name, events)[::-1]
    assert [event.kind for event in found] == ["stop", "resume", "trials", "trials"]
    assert [event.detail.partition(";")[0] for event in found][2:] == ["5 before, 15 now", "15 before, 30 now"]
    assert all(f"by {getpass.getuser()}@" in event.detail and "role postgres" in event.detail for event in found)
    assert not any(read(storage, name, fleet_status).faults.values())


def test_a_trial_that_is_given_back_did_not_fail(database, storage, name, tmp_path):
    search = registered(database, name, 5)
    for ending in ("signal 15", "stopped"):
        queue = mendstore.Queue(database, search, "cpu", tmp_path)
        queue.claim([("2", {"x": 2.0})])
        queue.leave(ending)
    queue = mendstore.Queue(database, search, "cpu", tmp_path)
    pace = read(storage, name, pace_of)
    assert (pace.failing, pace.states["failed"]) == (0, 2)
    assert not any(read(storage, name, fleet_status).faults.values())
    _, (claim,) = queue.claim([("3", {"x": 3.0})])
    queue.fail(claim, "ValueError: no", "Traceback: attempt 1: stopped no")
    assert read(storage, name, pace_of).failing == 1
    fleet = read(storage, name, fleet_status)
    assert (fleet.faults["failed"], fleet.last_failure) == (1, "ValueError: no")


def test_a_task_that_is_given_back_did_not_fail(database, storage, name, tmp_path):
    search = registered(database, name, 1)
    queue = mendstore.Queue(database, search, "cpu", tmp_path)
    _, (claim,) = queue.claim([("1", {"x": 1.0})])
    queue.finish(mendstore.Result(claim.item_id, "COMPLETE", -0.5, "1", {"x": 1.0}))
    for end in ("signal 15", "asked to stop", "signal 2", "signal 15"):
        queue = mendstore.Queue(database, search, "cpu", tmp_path)
        tasks = mendstore.Tasks(database, queue, "recipe", None, tmp_path)
        _, task = tasks.claim(["choose"])
        assert task.attempt == 1, "no attempt is used up"
        if end == "asked to stop":
            tasks.give_back(task, end)
        queue.leave(end)
    assert not any(read(storage, name, fleet_status).faults.values())
    assert not {event.kind for event in read(storage, name, events)} - {"joined", "left"}


def test_trials_are_ended_between_claims(storage, database, name):
    """A claim that has read how many are left is counted before the number is cut to those claimed."""
    search = registered(database, name, 100)
    engine = sa.create_engine(mendstore.normalised(storage))
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as claiming:  # in the order in which `mend_claim` does it
            claiming.execute(sa.text("SELECT 1 FROM studies WHERE study_id = :s FOR UPDATE"), {"s": search.study_id})
            ended = pool.submit(mendstore.end_trials, database, search)
            time.sleep(0.5)
            claimed = sa.text("UPDATE mend_searches SET claimed = claimed + 3 WHERE study_id = :s")
            claiming.execute(claimed, {"s": search.study_id})
        ended.result()
    engine.dispose()
    assert mendstore.find(database, name).trials == 4, "the start, and those three"
