import pytest

from mendview import workers
from mendview.searches import find_search
from tests.unit.mendview.conftest import ASIDE, DONE, LOST, WORKERS


@pytest.fixture
def ask(reader, made):
    def ask(question, *arguments):
        return reader.look(lambda look: question(look, find_search(look, study_id=made.study_id), *arguments))

    return ask


def test_the_crew_is_counted_with_its_faults(ask):
    crew = ask(workers.crew)
    assert (crew.alive, crew.lost, crew.silent, crew.leased) == (WORKERS - LOST, LOST, 0, WORKERS - LOST)
    assert crew.set_aside == ASIDE
    assert crew.faults == {"lost": LOST, "failed": 3 * ASIDE, "set aside": ASIDE, "outage": 1, "late result": 0}


def test_every_worker_is_shown_those_alive_first(ask, made):
    found = ask(workers.workers)
    assert [worker.state for worker in found] == ["alive"] * (WORKERS - LOST) + ["lost"] * LOST
    assert sum(worker.done for worker in found) == DONE
    assert max(worker.best for worker in found if worker.best is not None) == made.scores[made.best]
    leases = [(worker.lease_s, worker.left_s) for worker in found if worker.alive]
    assert all(0 < held_s < 7200 and left_s > 0 for held_s, left_s in leases), leases


def test_candidates_that_were_set_aside_come_with_their_log(ask):
    found = ask(workers.set_aside)
    assert len(found) == ASIDE
    assert found[0]["log"].count("CUDA out of memory") == 3


def test_throughput_holds_every_counted_trial(ask, reader, made):
    rows = ask(lambda look, search: workers.throughput(look, search, *ends(look, search)))
    assert sum(row["trials"] for row in rows) == DONE
    assert {row["host"] for row in rows} == {"node0"}


def ends(look, search):
    row = look.one(
        "SELECT min(datetime_start) AS first, max(datetime_complete) AS last FROM trials WHERE study_id = :study",
        study=search.study_id,
    )
    return row["first"], row["last"]


def test_gaps_between_a_result_and_the_next_claim_are_measured(ask):
    gaps = ask(workers.claim_gaps)
    assert 0 <= gaps["p50"] <= gaps["p99"]


def test_events_say_which_worker(ask):
    found = ask(workers.events)
    assert found[0]["kind"] == "outage"
    assert found[0]["ordinal"] == 0
