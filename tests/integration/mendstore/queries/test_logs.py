import pytest

from mendstore.queries.logs import log
from mendstore.queries.searches import find_search


def test_events_come_in_their_order_and_the_last_ones(ask):
    found = ask(lambda snapshot, search: log(snapshot, search, 1000))
    assert [event.at for event in found] == sorted(event.at for event in found)
    assert (found[-1].kind, found[-1].ordinal) == ("outage", 0)
    assert ask(lambda snapshot, search: log(snapshot, search, 3)) == found[-3:]


@pytest.mark.parametrize("worker", [0, 2])
def test_events_of_one_worker(ask, worker):
    everything = ask(lambda snapshot, search: log(snapshot, search, 1000))
    found = ask(lambda snapshot, search: log(snapshot, search, 1000, worker))
    assert found == [event for event in everything if event.ordinal == worker]


def test_of_a_study_of_stock_optuna_nothing_is_recorded(reader, storage, name):
    import optuna

    optuna.create_study(storage=storage, study_name=name)
    assert reader.read(lambda snapshot: log(snapshot, find_search(snapshot, name=name), 10)) == []
