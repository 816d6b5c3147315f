"""A new search that starts with the trials of an earlier one: the same trials, and N asked is N done."""

import pytest
from optuna.trial import TrialState

import mendstore
from mendstore import Queue
from tests.integration.mendstore.test_queue import (  # noqa: F401  (fixtures)
    database,
    proposal,
    queue_of,
    registered,
    result,
    trials_of,
    url,
)

ATTRS = {"keep_counts": {"a": 1}, "seconds": 2.5}


@pytest.fixture
def earlier(database, name, queue_of):  # noqa: F811
    """A search of five trials: one is complete, one was stopped early, one failed and is complete, one is held."""
    search = registered(database, f"{name}-earlier", 5)
    queue = queue_of(search)
    claims = [claim for number in range(3) for claim in queue.claim([proposal(number, number)])[1]]
    queue.finish(result(claims[0], -0.5, attrs={**ATTRS, "worker": queue.worker_id, "finetuned": {"x": 1}}))
    queue.finish(result(claims[1], -0.7, state="PRUNED", steps={"32": -0.7}))
    queue.fail(claims[2], "broke", "its log")
    [again] = queue.claim([proposal(8, 8)])[1]
    queue.finish(result(again, float("-inf")))
    queue.claim([proposal(4, 4)])
    return search


def begun(database, name, earlier, trials, starts):  # noqa: F811
    return mendstore.register(
        database, name, trials=trials, distributions={}, fingerprint="same", spec={}, versions={}, starts=starts,
        earlier=earlier,
    )  # fmt: skip


def test_trials_that_ended_with_a_score_are_copied_and_nothing_else(url, database, name, earlier):  # noqa: F811
    begun(database, name, earlier, 5, [])
    before = [
        trial for trial in trials_of(url, earlier.name) if trial.state not in (TrialState.FAIL, TrialState.RUNNING)
    ]
    after = trials_of(url, name)
    assert [trial.number for trial in after] == [0, 1, 2]
    assert [trial.state.name for trial in after] == ["COMPLETE", "PRUNED", "COMPLETE"]
    for ours, theirs in zip(after, before, strict=True):
        for what in ("state", "value", "params", "distributions", "intermediate_values", "datetime_start", "duration"):
            assert getattr(ours, what) == getattr(theirs, what)
    assert after[0].user_attrs == ATTRS


def test_as_many_are_claimed_as_are_left(database, name, earlier, queue_of):  # noqa: F811
    search = begun(database, name, earlier, 5, [proposal(1, 1), proposal(7, 7)])
    queue: Queue = queue_of(search)
    assert queue.done == 3
    claimed = []
    while (answer := queue.claim([proposal(0, 0)]))[0] == "claimed":
        claimed += answer[1]
        queue.finish(result(answer[1][0]))
    assert [(claim.params["restore/a"], claim.known) for claim in claimed] == [(7, None), (0, -0.5)]
    assert (answer[0], queue.done) == ("finished", 5)


def test_a_smaller_search_takes_the_first_ones(url, database, name, earlier, queue_of):  # noqa: F811
    queue = queue_of(begun(database, name, earlier, 2, [proposal(9, 9)]))
    assert queue.claim([proposal(3, 3)]) == ("finished", [])
    assert [trial.value for trial in trials_of(url, name)] == [-0.5, -0.7]


def test_a_search_that_is_there_is_taken_up_as_it_is(url, database, name, earlier, queue_of):  # noqa: F811
    registered(database, name, 5)
    assert queue_of(begun(database, name, earlier, 5, [])).done == 0
    assert trials_of(url, name) == []


def test_searches_of_a_fingerprint_are_found_the_latest_first(database, name, earlier):  # noqa: F811
    later = begun(database, name, earlier, 5, [])
    names = [search.name for search in mendstore.alike(database, "same")]
    assert names.index(later.name) < names.index(earlier.name)
    assert mendstore.alike(database, "another") == []
