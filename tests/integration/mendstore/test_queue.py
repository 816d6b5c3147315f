"""Claims, leases and results on a real Postgres: N asked is N done, whatever dies."""

import os
import time

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution, distribution_to_json
from optuna.trial import TrialState

import mendstore
from mendstore import Queue, Result

PARAMS = ("restore/a", "restore/b")
SPACE = {name: IntDistribution(0, 9) for name in PARAMS}
LEASE_S = 60.0


@pytest.fixture
def url(storage):
    mendstore.upgrade(storage)
    return storage


@pytest.fixture
def database(url):
    database = mendstore.Database(url)
    yield database
    database.close()


def registered(database, name, trials, starts=(), lease_s=LEASE_S):
    return mendstore.register(
        database,
        name,
        trials=trials,
        distributions={key: distribution_to_json(found) for key, found in SPACE.items()},
        fingerprint="same",
        spec={"name": name},
        versions={},
        starts=starts,
        lease_s=lease_s,
    )


def proposal(a, b):
    return f"{a},{b}", {"restore/a": a, "restore/b": b}


def result(claim, value=-1.0, **changes):
    params = {name: claim.params.get(name, 0) for name in PARAMS}
    given = {"state": "COMPLETE", "value": value, "key": ",".join(map(str, params.values())), "params": params}
    return Result(claim.item_id, **(given | changes))


def execute(database, statement, **bound):
    import sqlalchemy as sa

    return database.run(lambda connection: connection.execute(sa.text(statement), bound))


def expire(database, search):
    """What a clock that passed the lease would find: every lease has run out, and others were heard meanwhile."""
    execute(
        database, "UPDATE mend_items SET expires_at = now() - interval '1 s' WHERE study_id = :s", s=search.study_id
    )
    execute(
        database,
        "UPDATE mend_searches SET heard_at = now() + interval '1 h', lease_s = 0.001, grace_until = NULL WHERE study_id = :s",
        s=search.study_id,
    )
    time.sleep(0.01)


def trials_of(url, name):
    return optuna.load_study(study_name=name, storage=url).trials


@pytest.fixture
def queue_of(database, tmp_path):
    return lambda search: Queue(database, search, "cpu", tmp_path)


def test_a_claim_is_a_running_trial_and_a_result_completes_it(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 3))
    status, [claim] = queue.claim([proposal(1, 2)])
    assert (status, claim.number, claim.attempt, claim.known) == ("claimed", 0, 1, None)
    [trial] = trials_of(url, name)
    assert trial.state == TrialState.RUNNING
    assert trial.params == {"restore/a": 1, "restore/b": 2}
    assert trial.distributions == SPACE
    assert queue.finish(result(claim, -0.25, attrs={"macs": 7}, steps={"3": -0.5})) == "recorded"
    [trial] = trials_of(url, name)
    assert (trial.state, trial.value, trial.user_attrs, trial.intermediate_values) == (
        TrialState.COMPLETE, -0.25, {"macs": 7}, {3: -0.5},
    )  # fmt: skip
    assert trial.duration.total_seconds() < 60


def test_starts_come_first_then_requests_of_stock_optuna_then_proposals(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 4, starts=[proposal(9, 9), proposal(8, 8)]))
    optuna.load_study(study_name=name, storage=url).enqueue_trial({"restore/a": 5})
    seen = [queue.claim([proposal(1, 1)])[1][0] for _ in range(4)]
    assert [claim.params.get("restore/a") for claim in seen] == [9, 8, 5, 1]
    assert [claim.asked for claim in seen] == [False, False, True, False]
    assert queue.finish(result(seen[2], params={"restore/a": 5, "restore/b": 3})) == "recorded"
    asked = trials_of(url, name)[0]
    assert (asked.state, asked.params) == (TrialState.COMPLETE, {"restore/a": 5, "restore/b": 3})


def test_no_more_than_n_are_claimed_and_the_last_ones_are_waited_for(database, name, queue_of):
    search = registered(database, name, 2)
    one, other = queue_of(search), queue_of(search)
    [first] = one.claim([proposal(0, 0)])[1]
    [second] = other.claim([proposal(0, 1)])[1]
    assert one.claim([proposal(0, 2)]) == ("wait", [])
    one.finish(result(first))
    other.finish(result(second))
    assert one.claim([proposal(0, 2)]) == ("finished", [])
    mendstore.enlarge(database, search, by=1)
    assert one.claim([proposal(0, 2)])[0] == "claimed"


def test_several_are_claimed_at_a_time(database, name, queue_of):
    status, claims = queue_of(registered(database, name, 3)).claim([proposal(0, i) for i in range(5)])
    assert (status, len(claims)) == ("claimed", 3)


def test_an_answer_that_was_lost_is_given_again(database, name, queue_of):
    queue = queue_of(registered(database, name, 5))
    _, [claim] = queue.claim([proposal(1, 1)])
    queue._holding.clear()  # the answer never came
    assert queue.claim([proposal(2, 2)]) == ("claimed", [claim])
    assert queue.claim([proposal(2, 2)])[1][0].params["restore/a"] == 2


def test_a_result_that_is_sent_twice_counts_once(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 5))
    _, [claim] = queue.claim([proposal(1, 1)])
    assert queue.finish(result(claim, -0.5)) == "recorded"
    assert queue.finish(result(claim, -0.7)) == "dropped"
    assert [trial.value for trial in trials_of(url, name)] == [-0.5]


def test_a_lease_that_ran_out_is_put_back_and_the_late_result_completes_the_waiting_retry(
    url, database, name, queue_of
):
    search = registered(database, name, 1)
    lost, other = queue_of(search), queue_of(search)
    _, [claim] = lost.claim([proposal(3, 4)])
    expire(database, search)
    other.renew()
    assert [trial.state for trial in trials_of(url, name)] == [TrialState.FAIL]
    assert lost.finish(result(claim, -0.3)) == "late"
    failed, complete = trials_of(url, name)
    assert (complete.value, complete.params) == (-0.3, {"restore/a": 3, "restore/b": 4})
    assert "ran out" in failed.user_attrs["failed"]
    assert other.claim([proposal(0, 0)]) == ("finished", [])


def test_a_late_result_completes_the_retry_under_way_and_the_second_result_is_dropped(url, database, name, queue_of):
    search = registered(database, name, 1)
    lost, other = queue_of(search), queue_of(search)
    _, [claim] = lost.claim([proposal(3, 4)])
    expire(database, search)
    other.renew()
    _, [retry] = other.claim([proposal(0, 0)])
    assert (retry.item_id, retry.attempt, retry.params) == (claim.item_id, 2, claim.params)
    assert lost.finish(result(claim, -0.3)) == "late"
    assert other.finish(result(retry, -0.4)) == "dropped"
    assert [trial.value for trial in trials_of(url, name)] == [None, -0.3]


def test_after_an_outage_every_lease_starts_anew(database, name, queue_of):
    search = registered(database, name, 1)
    away, first_back = queue_of(search), queue_of(search)
    first_back.renew()
    away.claim([proposal(0, 0)])
    execute(
        database,
        "UPDATE mend_items SET expires_at = now() - interval '1 h' WHERE study_id = :s; "
        "UPDATE mend_searches SET heard_at = now() - interval '1 h' WHERE study_id = :s",
        s=search.study_id,
    )
    first_back.renew()
    assert (
        execute(
            database, "SELECT count(*) FROM mend_items WHERE study_id = :s AND state = 'leased'", s=search.study_id
        ).scalar()
        == 1
    )


@pytest.mark.parametrize(("started", "noted"), [("2 h", 1), ("0 h", 0)])
def test_an_outage_is_noted_and_a_pause_that_new_workers_end_is_not(database, name, queue_of, started, noted):
    search = registered(database, name, 1)
    gone, here = queue_of(search), queue_of(search)
    gone.renew()
    gone.leave("finished")
    execute(
        database,
        "UPDATE mend_searches SET heard_at = now() - interval '1 h' WHERE study_id = :s; "
        "UPDATE mend_workers SET started_at = now() - CAST(:i AS interval) WHERE worker_id = :w",
        s=search.study_id,
        w=here.worker_id,
        i=started,
    )
    here.renew()
    query = "SELECT count(*) FROM mend_events WHERE study_id = :s AND kind = 'outage'"
    assert execute(database, query, s=search.study_id).scalar() == noted


def test_an_item_that_fails_three_times_is_set_aside_with_its_log_and_replaced(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 1))
    for attempt in (1, 2, 3):
        _, [claim] = queue.claim([proposal(6, 6)])
        assert claim.attempt == attempt
        queue.fail(claim, "out of memory", "a traceback")
    _, [replacement] = queue.claim([proposal(7, 7)])
    assert replacement.params["restore/a"] == 7
    assert queue.finish(result(replacement)) == "recorded"
    assert queue.claim([proposal(7, 7)])[0] == "finished"
    assert "a traceback" in trials_of(url, name)[2].user_attrs["failed"]
    log = execute(
        database, "SELECT log FROM mend_items WHERE state = 'set_aside' AND item_id = :i", i=claim.item_id
    ).scalar()
    assert log.count("out of memory") == 3


def test_what_is_given_back_is_no_fault_of_the_candidate(database, name, queue_of):
    search = registered(database, name, 1)
    for _ in range(5):
        queue = queue_of(search)
        _, [claim] = queue.claim([proposal(6, 6)])
        assert claim.attempt == 1
        queue.leave("signal 15")


def test_a_process_of_this_machine_that_died_is_found_at_once(database, name, tmp_path, queue_of):
    search = registered(database, name, 1)
    child = os.fork()
    if child == 0:
        own = mendstore.Database(database.url)
        Queue(own, search, "cpu", tmp_path).claim([proposal(1, 1)])
        os._exit(9)
    os.waitpid(child, 0)
    _, [claim] = queue_of(search).claim([proposal(2, 2)])
    assert (claim.attempt, claim.params["restore/a"]) == (2, 1)


def test_trials_of_a_stock_optimizer_are_neither_counted_nor_reaped(url, database, name, queue_of):
    search = registered(database, name, 2)
    stock = optuna.load_study(study_name=name, storage=url)
    running = stock.ask(SPACE)
    stock.optimize(lambda trial: -trial.suggest_int("restore/a", 0, 9), n_trials=2)
    queue = queue_of(search)
    claims = [queue.claim([proposal(i, i)])[1][0] for i in range(2)]
    expire(database, search)
    queue_of(search).renew()
    for claim in claims:
        queue.finish(result(claim))
    assert queue.claim([proposal(0, 0)])[0] == "finished"
    states = {trial.number: trial.state for trial in trials_of(url, name)}
    assert states[running.number] == TrialState.RUNNING
    assert sorted(states) == list(range(len(states)))


def test_a_score_that_is_known_comes_with_the_claim(database, name, queue_of):
    queue = queue_of(registered(database, name, 3))
    queue.finish(result(queue.claim([proposal(1, 1)])[1][0], -0.125))
    assert queue.claim([proposal(1, 1)])[1][0].known == -0.125


def test_infinite_scores_are_kept(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 1))
    queue.finish(result(queue.claim([proposal(1, 1)])[1][0], float("-inf")))
    assert trials_of(url, name)[0].value == float("-inf")


def test_workers_are_asked_to_stop_and_go_on_when_the_search_does(database, name, queue_of):
    search = registered(database, name, 2)
    queue = queue_of(search)
    assert not queue.renew()
    mendstore.stop(database, search)
    assert queue.renew()
    assert queue.claim([proposal(0, 0)]) == ("stopping", [])
    registered(database, name, 2)
    assert queue.claim([proposal(0, 0)])[0] == "claimed"


def test_a_search_of_another_kind_is_refused_and_a_removed_one_is_told(database, name, queue_of):
    search = registered(database, name, 2)
    queue = queue_of(search)
    with pytest.raises(mendstore.StorageError, match="would not compare"):
        mendstore.register(
            database, name, trials=1, distributions={}, fingerprint="other", spec={}, versions={}, starts=()
        )
    mendstore.remove(database, name)
    with pytest.raises(mendstore.StorageError, match="removed"):
        queue.claim([proposal(0, 0)])


STEPS = st.lists(
    st.tuples(st.sampled_from(["claim", "finish", "finish late", "die", "expire", "give back", "fail", "stock"]),
              st.integers(0, 3)), max_size=60,
)  # fmt: skip


@given(trials=st.integers(1, 6), steps=STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_n_asked_is_n_done_whatever_happens(url, database, tmp_path, trials, steps):
    """Any storm of claims, deaths, expiries, late and double results ends with exactly N counted trials."""
    name = f"storm-{os.urandom(6).hex()}"
    search = registered(database, name, trials, starts=[proposal(9, 9)])
    workers = [Queue(database, search, "cpu", tmp_path) for _ in range(4)]
    held = [[] for _ in workers]
    late, ticket, foreign = [], 0, 0
    for action, who in steps:
        worker, mine = workers[who], held[who]
        if action == "claim":
            ticket += 1
            mine += worker.claim([proposal(ticket % 10, ticket // 10)])[1]
        elif action == "finish" and mine:
            claim = mine.pop()
            worker.finish(result(claim))
            late.append((worker, claim))
        elif action == "finish late" and late:
            late[0][0].finish(result(late[0][1]))
        elif action == "die":
            late += [(worker, claim) for claim in mine]
            worker.leave("killed", counts=True)
            held[who] = []
        elif action == "give back":
            worker.leave("signal 15")
            held[who] = []
        elif action == "fail" and mine:
            worker.fail(mine.pop(), "an error", "")
        elif action == "expire":
            expire(database, search)
            late += [(worker, claim) for worker, mine in zip(workers, held, strict=True) for claim in mine]
            held = [[] for _ in workers]
            workers[who].renew()
        elif action == "stock":
            optuna.load_study(study_name=name, storage=url).ask(SPACE)
            foreign += 1
    for worker in workers:
        worker.leave("killed", counts=True)
    for _ in range(trials + 1):
        ticket += 1
        status, claims = workers[0].claim([proposal(ticket % 10, ticket // 10)])
        for claim in claims:
            workers[0].finish(result(claim))
    assert status == "finished"
    ended = [trial for trial in trials_of(url, name) if trial.state == TrialState.COMPLETE]
    assert len(ended) == trials
    running = [trial for trial in trials_of(url, name) if trial.state == TrialState.RUNNING]
    assert len(running) == foreign
    assert [trial.number for trial in trials_of(url, name)] == list(range(len(trials_of(url, name))))


def test_a_score_that_is_not_a_number_is_the_worst_one(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 1))
    queue.finish(result(queue.claim([proposal(1, 1)])[1][0], float("nan")))
    assert trials_of(url, name)[0].value == float("-inf")


def test_a_request_that_is_not_json_does_not_stop_the_fleet(url, database, name, queue_of):
    queue = queue_of(registered(database, name, 1))
    optuna.load_study(study_name=name, storage=url).enqueue_trial({"restore/a": float("inf")})
    _, [claim] = queue.claim([proposal(1, 1)])
    assert (claim.asked, claim.params) == (True, {})


def test_a_worker_without_a_heartbeat_is_lost_even_if_it_held_nothing(database, name, queue_of):
    search = registered(database, name, 1)
    silent, other = queue_of(search), queue_of(search)
    execute(
        database,
        "UPDATE mend_workers SET seen_at = now() - interval '2 h' WHERE worker_id = :w; "
        "UPDATE mend_searches SET heard_at = now() + interval '1 h', lease_s = 0.001 WHERE study_id = :s",
        w=silent.worker_id,
        s=search.study_id,
    )
    time.sleep(0.01)
    other.renew()
    detail = execute(
        database, "SELECT detail FROM mend_events WHERE worker_id = :w AND kind = 'left'", w=silent.worker_id
    ).scalar_one()
    assert detail == "lost: no heartbeat for a lease"
