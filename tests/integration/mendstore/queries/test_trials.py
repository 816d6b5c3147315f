from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mendstore.queries import trials
from mendstore.queries.trials import counts_of, number_of


def complete(made):
    return {number: score for number, score in enumerate(made.scores) if made.states[number] == "COMPLETE"}


def test_improvements_are_the_running_best_in_order_of_ending(ask, made):
    scores = [row.score for row in ask(trials.improvements)]
    assert scores == sorted(scores)
    assert scores[-1] == max(complete(made).values())


def test_endings_count_every_trial_that_ended_once(ask, made):
    rows = ask(trials.endings, len(made.states))
    assert len(rows) <= trials.FEW_SPANS
    assert sum(row.complete for row in rows) == made.states.count("COMPLETE")
    assert sum(row.pruned for row in rows) == made.states.count("PRUNED")
    assert sum(row.fail for row in rows) == made.states.count("FAIL")


def test_spans_sum_up_the_scores_of_complete_trials(ask, made):
    rows = ask(trials.spans, len(made.states))
    assert len(rows) <= trials.SPANS
    first = sorted(score for number, score in complete(made).items() if number < rows[1].number)
    assert [rows[0].low, rows[0].middle, rows[0].high] == pytest.approx(np.quantile(first, [0.25, 0.5, 0.75]))
    assert max(row.best for row in rows if row.best is not None) == made.scores[made.best]
    best = max((row for row in rows if row.best is not None), key=lambda row: row.best)
    assert best.best_number == made.best


def test_trials_of_a_large_study_come_in_spans_and_of_a_small_one_each(ask, made):
    assert isinstance(ask(trials.ended_trials, len(made.states))[0], trials.Span)
    each = ask(trials.ended_trials, 10)
    assert {row.number: row.score for row in each} == {
        number: score for number, score in enumerate(made.scores) if score is not None
    }


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
    number = made.states.index("FAIL")
    assert ask(trials.one, number).failed == "RuntimeError: CUDA out of memory"
    assert ask(trials.one, 10**6) is None
    failed = [number for number, state in enumerate(made.states) if state == "FAIL"]
    assert [trial.number for trial in ask(trials.latest_failures, 3)] == failed[::-1][:3]


def test_a_scatter_keeps_the_best_and_stays_small(ask, made):
    rows = ask(trials.scattered, 100)
    assert rows[0].number == made.best
    assert len(rows) <= 250
    assert all(isinstance(row.macs, int) for row in rows)


def test_trials_that_ended_since_are_counted(ask):
    now = datetime.now(UTC).replace(tzinfo=None)
    assert ask(trials.ended_since, now + timedelta(days=1)) == 0
    assert ask(trials.ended_since, now - timedelta(days=365)) == 700


def test_an_attribute_that_anybody_may_write_is_read_or_left_out():
    for text in ("[[", "[" * 10_000, "null", "true", '"x"', "1e999", None):
        assert number_of(text) is None
        assert counts_of(text) == {}
    assert number_of("7") == 7
    assert counts_of('{"a": 3, "b": -1, "c": "x", "d": 1e300}') == {"a": 3}
