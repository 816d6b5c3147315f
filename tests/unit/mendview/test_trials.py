from datetime import UTC, datetime, timedelta

import optuna
import pytest
from optuna.trial import create_trial

from mendview import trials
from mendview.pace import STATES, pace_of
from mendview.searches import find_search
from tests.unit.mendview.conftest import DONE


@pytest.fixture
def ask(reader, made):
    def ask(question, *arguments):
        return reader.look(lambda look: question(look, find_search(look, study_id=made.study_id), *arguments))

    return ask


def complete(made):
    return {number: score for number, score in enumerate(made.scores) if made.states[number] == "COMPLETE"}


def test_trials_are_counted_by_state(ask, made):
    seen = ask(pace_of)
    assert seen.states == {STATES[state.lower()]: made.states.count(state) for state in set(made.states)}
    assert seen.done == DONE
    assert seen.rate > 0


def test_a_pause_is_no_part_of_the_rate(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name)
    begun = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=12, seconds=40)
    for number in range(40):  # one a second, with a night between
        at = begun + timedelta(seconds=number, hours=12 if number >= 20 else 0)
        trial = create_trial(value=1.0)
        trial.datetime_start, trial.datetime_complete = at, at + timedelta(seconds=1)
        study.add_trial(trial)
    seen = reader.look(lambda look: pace_of(look, find_search(look, name=name)))
    assert seen.rate == pytest.approx(1, abs=0.05)


def test_where_nothing_ends_any_more_there_is_no_rate(reader, finished):
    seen = reader.look(lambda look: pace_of(look, find_search(look, study_id=finished.study_id)))
    assert seen.rate is None


def test_improvements_are_the_running_best_in_order_of_ending(ask, made):
    scores = [row["score"] for row in ask(trials.improvements)]
    assert scores == sorted(scores)
    assert scores[-1] == max(complete(made).values())


def test_spans_hold_every_trial_that_ended_once(ask, made):
    rows = ask(trials.spans, len(made.states))
    assert len(rows) <= trials.SPANS
    assert sum(row["complete"] for row in rows) == made.states.count("COMPLETE")
    assert sum(row["pruned"] for row in rows) == made.states.count("PRUNED")
    assert sum(row["fail"] for row in rows) == made.states.count("FAIL")
    assert max(row["best"] for row in rows if row["best"] is not None) == made.scores[made.best]
    best = max((row for row in rows if row["best"] is not None), key=lambda row: row["best"])
    assert best["best_number"] == made.best


def test_the_best_come_first_with_what_is_known_of_them(ask, made):
    found = ask(trials.top, 5)
    ranked = sorted(complete(made), key=lambda number: -made.scores[number])
    assert [trial.number for trial in found] == ranked[:5]
    assert found[0].keep_counts == made.counts[made.best]
    assert found[0].macs <= made.structure["budget"]["macs"]


def test_a_stopped_trial_shows_the_score_that_it_was_expected_to_have(ask, made):
    number = made.states.index("PRUNED")
    trial = ask(trials.one, number)
    assert (trial.state, trial.score) == ("pruned", made.scores[number])


def test_a_failed_attempt_shows_its_log(ask, made):
    trial = ask(trials.one, made.states.index("FAIL"))
    assert trial.failed == "RuntimeError: CUDA out of memory"
    assert ask(trials.one, 10**6) is None


def test_a_scatter_keeps_the_best_and_stays_small(ask, made):
    rows = ask(trials.scattered, 100)
    assert rows[0]["number"] == made.best
    assert len(rows) <= 250
    assert all(isinstance(row["macs"], int) for row in rows)
