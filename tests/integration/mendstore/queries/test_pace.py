from datetime import UTC, datetime, timedelta

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from bench.fleet.synthetic import make_search
from mendstore.queries.pace import STATES, pace_of, throughput
from mendstore.queries.searches import find_search, list_searches
from tests.integration.conftest import DONE


def test_trials_are_counted_by_state(ask, made):
    seen = ask(pace_of)
    assert seen.states == {STATES[state.lower()]: made.states.count(state) for state in set(made.states)}
    assert seen.done == DONE
    assert seen.rate > 0


def test_trials_of_a_stock_optimizer_do_not_make_a_search_done(reader, storage, name):
    make_search(storage, name, trials=10, done=4, workers=2, lost=0, set_aside=0, groups=3)
    study = optuna.load_study(study_name=name, storage=storage)
    study.add_trials([create_trial(value=-1.0) for _ in range(20)])
    seen = reader.read(lambda snapshot: pace_of(snapshot, find_search(snapshot, name=name)))
    assert seen.done == 4
    assert seen.states["complete"] + seen.states.get("stopped_early", 0) == 24
    (listed,) = [item for item in reader.read(list_searches) if item.name == name]
    assert listed.done == 4


def test_in_a_study_of_stock_optuna_all_scored_trials_are_done(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name)
    study.add_trials([create_trial(value=1.0, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})])
    study.enqueue_trial({"x": 1})
    seen = reader.read(lambda snapshot: pace_of(snapshot, find_search(snapshot, name=name)))
    assert (seen.done, seen.states) == (1, {"complete": 1, "waiting": 1})


def test_a_pause_is_no_part_of_the_rate(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name)
    begun = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=12, seconds=40)
    for number in range(40):  # one a second, with a night between
        at = begun + timedelta(seconds=number, hours=12 if number >= 20 else 0)
        trial = create_trial(value=1.0)
        trial.datetime_start, trial.datetime_complete = at, at + timedelta(seconds=1)
        study.add_trial(trial)
    seen = reader.read(lambda snapshot: pace_of(snapshot, find_search(snapshot, name=name)))
    assert seen.rate == pytest.approx(1, abs=0.05)


def test_where_nothing_ends_any_more_there_is_no_rate(reader, finished):
    seen = reader.read(lambda snapshot: pace_of(snapshot, find_search(snapshot, study_id=finished.study_id)))
    assert seen.rate is None


def test_throughput_holds_every_counted_trial(ask, made):
    rows = ask(lambda snapshot, search: throughput(snapshot, search, pace_of(snapshot, search)))
    assert sum(row.trials for row in rows) == DONE
    assert {row.host for row in rows} == {"node0"}


def test_a_span_of_throughput_holds_a_dozen_trials_however_short_the_search(server, reader, name):
    short = make_search(server.start(), name, trials=60, workers=2, groups=3, finished=True, seconds=1)

    def ask(snapshot):
        search = find_search(snapshot, study_id=short.study_id)
        return throughput(snapshot, search, pace_of(snapshot, search))

    rows = reader.read(ask)
    assert len({row.at for row in rows}) == 5
    assert min(row.trials for row in rows) >= 6
