from mendstore.queries.fleet import FleetStatus, events, fleet_status, set_aside
from mendstore.queries.searches import find_search
from tests.integration.conftest import ASIDE, LOST, WORKERS


def test_workers_and_candidates_are_counted_with_faults(ask):
    fleet = ask(fleet_status)
    assert (fleet.alive, fleet.lost, fleet.silent, fleet.leased) == (WORKERS - LOST, LOST, 0, WORKERS - LOST)
    assert (fleet.all, fleet.hosts, fleet.set_aside) == (WORKERS, 1, ASIDE)
    assert fleet.here_s > 3600
    assert fleet.faults == {"lost": LOST, "failed": 3 * ASIDE, "set aside": ASIDE, "outage": 1, "late result": 0}


def test_candidates_that_were_set_aside_come_with_their_log(ask):
    found = ask(set_aside)
    assert len(found) == ASIDE
    assert found[0].log.count("CUDA out of memory") == 3


def test_events_say_which_worker(ask):
    found = ask(events)
    assert (found[0].kind, found[0].ordinal) == ("outage", 0)


def test_events_are_the_last_ones_of_one_worker_or_of_all(ask):
    everything = ask(lambda snapshot, search: events(snapshot, search, 1000, None, None))
    assert len(everything) > 3
    assert [event.at for event in everything] == sorted((event.at for event in everything), reverse=True)
    assert ask(lambda snapshot, search: events(snapshot, search, 3, None, None)) == everything[:3]
    for worker in (0, 2):
        found = ask(lambda snapshot, search, worker=worker: events(snapshot, search, 1000, worker, None))
        assert found == [event for event in everything if event.ordinal == worker]
    longest = max(len(event.detail) for event in everything)
    cut = ask(lambda snapshot, search: events(snapshot, search, 1000, None, longest - 1))
    assert [event.detail for event in cut] == [event.detail[: longest - 1] for event in everything]


def test_a_study_of_stock_optuna_has_no_fleet(reader, storage, name):
    import optuna

    optuna.create_study(storage=storage, study_name=name)
    for question, nothing in ((fleet_status, 0), (events, []), (set_aside, [])):
        answer = reader.read(lambda snapshot, ask=question: ask(snapshot, find_search(snapshot, name=name)))
        assert (answer.all if question is fleet_status else answer) == nothing


def test_nothing_is_being_scored_where_no_worker_is_alive():
    assert FleetStatus(alive=1, leased=3).working == 3
    assert FleetStatus(silent=1, leased=3).working == 0
