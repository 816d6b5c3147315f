"""Trials of a search, counted and summed up in SQL: an answer does not grow with the number of trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mendstore.queries.best import SCORED, best_trial_ids
from mendstore.queries.searches import Search
from mendstore.reading import Row, Snapshot
from mendstore.records import Counts

EACH = 600
"""Up to so many trials each is drawn by itself; past it they are summed up in spans."""
SPANS = 120
FEW_SPANS = 24
"""Spans in which endings are counted; with few, fractions are easier to see."""
BEST_SCATTERED = 50
STOPPED_SCORE = """
    (SELECT i.intermediate_value FROM trial_intermediate_values i WHERE i.trial_id = t.trial_id
     ORDER BY step DESC LIMIT 1)
"""
"""SQL: the score that a trial `t` was expected to have when it was stopped early."""


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: number of the trial in its study.
        state: Optuna's state, in lower case.
        score: the trial's value, or the expected one where it was stopped early.
        keep_counts: the candidate, or empty.
        macs: multiply-accumulates of the candidate.
        params: parameters of the candidate.
        top1_agreement: fraction of decisions (classes of validation images, or of their pixels) that are those of the
            search's reference; None where nothing is decided.
        divergences: mean divergences from the dense network by output, or empty.
        seconds: seconds that scoring took.
        worker: id of the worker, or None.
        failed: log of an attempt that failed, or an empty string.
        started: when it began, in UTC.
        ended: when it ended, in UTC.
    """

    number: int
    state: str
    score: float | None
    keep_counts: Counts
    macs: float | None
    params: float | None
    top1_agreement: float | None
    divergences: dict[str, float]
    seconds: float | None
    worker: int | None
    failed: str
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Improvement:
    """A trial that was better than all that ended before it.

    Attributes:
        number: number of the trial.
        at: when it ended, in UTC.
        score: its score.
    """

    number: int
    at: datetime | None
    score: float


@dataclass(frozen=True)
class Ended:
    """A trial that ended with a score.

    Attributes:
        number: number of the trial.
        at: when it ended, in UTC.
        state: `complete` or `pruned`.
        score: its score, or the expected one.
    """

    number: int
    at: datetime | None
    state: str
    score: float | None


@dataclass(frozen=True)
class Span:
    """Trials of neighbouring numbers.

    Attributes:
        number: number of the first one.
        at: when the last one ended, in UTC.
        low: lower quartile of the complete ones' scores.
        middle: median of the same.
        high: upper quartile of the same.
        best: best of the same.
        best_number: number of the best one.
    """

    number: int
    at: datetime | None
    low: float | None
    middle: float | None
    high: float | None
    best: float | None
    best_number: int


@dataclass(frozen=True)
class Endings:
    """How trials of neighbouring numbers ended.

    Attributes:
        number: number of the first one.
        at: when the last one ended, in UTC.
        complete: scored in full.
        pruned: stopped early.
        fail: failed.
    """

    number: int
    at: datetime | None
    complete: int
    pruned: int
    fail: int


@dataclass(frozen=True)
class Point:
    """A complete trial and its costs.

    Attributes:
        number: number of the trial.
        score: its score.
        macs: multiply-accumulates of the candidate, where known.
        params: parameters of the candidate, where known.
    """

    number: int
    score: float | None
    macs: float | None
    params: float | None


def improvements(snapshot: Snapshot, search: Search) -> list[Improvement]:
    """Trials that were better than all that ended before, in the order in which they ended."""
    rows = snapshot.all(
        f"""
        SELECT number, at, score FROM (
            SELECT t.number, t.datetime_complete AS at, v.value AS score,
                max(:sign * v.value) OVER (ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM {SCORED} WHERE t.study_id = :study WINDOW ended AS (ORDER BY t.datetime_complete, t.number)
        ) scored WHERE before IS NULL OR :sign * score > before ORDER BY at, number
        """,  # noqa: S608
        study=search.study_id,
        sign=search.sign,
    )
    return [Improvement(**row) for row in rows]


def each(snapshot: Snapshot, search: Search) -> list[Ended]:
    """Every trial that ended with a score, by number; meant for studies of `EACH` trials or fewer."""
    rows = snapshot.all(
        f"""
        SELECT t.number, t.datetime_complete AS at, lower(t.state::text) AS state,
            coalesce(v.value, {STOPPED_SCORE}) AS score
        FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
        WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED') ORDER BY t.number
        """,  # noqa: S608
        study=search.study_id,
    )
    return [Ended(**row) for row in rows]


def spans(snapshot: Snapshot, search: Search, trials: int) -> list[Span]:
    """Trials in at most `SPANS` spans by number.

    Args:
        snapshot: the database.
        search: the search.
        trials: how many trials it has, of any state.
    """
    rows = snapshot.all(
        """
        SELECT min(number) AS number, max(at) AS at,
            percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY score) AS quartiles,
            max(ARRAY[:sign * score, -number]) FILTER (WHERE score IS NOT NULL) AS best
        FROM (SELECT t.number, t.datetime_complete AS at, v.value AS score, t.number / :length AS span
              FROM trials t LEFT JOIN trial_values v
                ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE' AND t.state = 'COMPLETE'
              WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')) spanned
        GROUP BY span ORDER BY span
        """,
        study=search.study_id,
        sign=search.sign,
        length=-(-max(1, trials) // SPANS),
    )
    return [_span(row, search.sign) for row in rows]


def _span(row: Row, sign: int) -> Span:
    low, middle, high = row.pop("quartiles") or (None, None, None)
    best, number = row.pop("best") or (None, None)
    return Span(
        **row,
        low=low,
        middle=middle,
        high=high,
        best=None if best is None else sign * best,
        best_number=row["number"] if number is None else -int(number),
    )


def endings(snapshot: Snapshot, search: Search, trials: int) -> list[Endings]:
    """How trials ended, in at most `FEW_SPANS` spans by number.

    Args:
        snapshot: the database.
        search: the search.
        trials: how many trials it has, of any state.
    """
    rows = snapshot.all(
        """
        SELECT min(number) AS number, max(datetime_complete) AS at,
            count(*) FILTER (WHERE state = 'COMPLETE') AS complete,
            count(*) FILTER (WHERE state = 'PRUNED') AS pruned, count(*) FILTER (WHERE state = 'FAIL') AS fail
        FROM trials WHERE study_id = :study AND state IN ('COMPLETE', 'PRUNED', 'FAIL')
        GROUP BY number / :length ORDER BY 1
        """,
        study=search.study_id,
        length=-(-max(1, trials) // FEW_SPANS),
    )
    return [Endings(**row) for row in rows]


def ended_trials(snapshot: Snapshot, search: Search, trials: int) -> list[Ended] | list[Span]:
    """Trials that ended: each where a study has `EACH` trials or fewer, else summed up in spans.

    Args:
        snapshot: the database.
        search: the search.
        trials: how many trials it has, of any state.
    """
    return spans(snapshot, search, trials) if trials > EACH else each(snapshot, search)


def top(snapshot: Snapshot, search: Search, number: int = 10) -> list[Trial]:
    """The best complete trials, the best first; two round trips."""
    return _trials(snapshot, best_trial_ids(snapshot, search.study_id, search.sign, number))


def one(snapshot: Snapshot, search: Search, number: int) -> Trial | None:
    """The trial of that number, or None; two round trips."""
    row = snapshot.first(
        "SELECT trial_id FROM trials WHERE study_id = :study AND number = :number", study=search.study_id, number=number
    )
    return None if row is None else _trials(snapshot, [row["trial_id"]])[0]


def latest_failures(snapshot: Snapshot, search: Search, number: int = 10) -> list[Trial]:
    """The attempts that failed last, the last first; two round trips."""
    rows = snapshot.all(
        "SELECT trial_id FROM trials t WHERE study_id = :study AND state = 'FAIL' ORDER BY t.number DESC LIMIT :number",
        study=search.study_id,
        number=number,
    )
    return _trials(snapshot, [row["trial_id"] for row in rows])


def scattered(snapshot: Snapshot, search: Search, number: int = 400) -> list[Point]:
    """The `BEST_SCATTERED` best and about `number` evenly spaced complete trials, the best first."""
    attribute = "(SELECT a.value_json FROM trial_user_attributes a WHERE a.trial_id = s.trial_id AND a.key = '{}')"
    rows = snapshot.all(
        f"""
        SELECT s.number, s.score, {attribute.format("macs")} AS macs, {attribute.format("params")} AS params FROM (
            SELECT t.trial_id, t.number, v.value AS score, row_number() OVER (ORDER BY t.number) AS position,
                rank() OVER (ORDER BY :sign * v.value DESC) AS place, count(*) OVER () AS trials
            FROM {SCORED} WHERE t.study_id = :study
        ) s WHERE place <= :best OR position % greatest(1, s.trials / :number) = 0 ORDER BY place
        """,  # noqa: S608
        study=search.study_id,
        sign=search.sign,
        number=number,
        best=BEST_SCATTERED,
    )
    return [Point(row["number"], row["score"], number_of(row["macs"]), number_of(row["params"])) for row in rows]


def ended_since(snapshot: Snapshot, search: Search, moment: datetime) -> int:
    """How many trials ended with a score after a moment (UTC)."""
    row = snapshot.one(
        "SELECT count(*) AS number FROM trials WHERE study_id = :study AND state IN ('COMPLETE', 'PRUNED')"
        " AND datetime_complete > :moment",
        study=search.study_id,
        moment=moment,
    )
    return int(row["number"])


def _trials(snapshot: Snapshot, ids: Sequence[int]) -> list[Trial]:
    rows = {
        row["trial_id"]: row
        for row in snapshot.all(
            f"""
            SELECT t.trial_id, t.number, lower(t.state::text) AS state, t.datetime_start AS started,
                t.datetime_complete AS ended, coalesce(v.value, {STOPPED_SCORE}) AS score,
                (SELECT jsonb_object_agg(a.key, a.value_json) FROM trial_user_attributes a WHERE a.trial_id = t.trial_id
                 AND a.key IN ('keep_counts', 'macs', 'params', 'top1_agreement', 'divergences', 'seconds', 'worker',
                               'failed'))
                    AS attributes
            FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
            WHERE t.trial_id = ANY (:ids)
            """,  # noqa: S608
            ids=list(ids),
        )
    }
    return [_trial(rows[trial_id]) for trial_id in ids if trial_id in rows]


def _trial(row: Row) -> Trial:
    attributes = row["attributes"] or {}
    worker = number_of(attributes.get("worker"))
    return Trial(
        number=row["number"],
        state=row["state"],
        score=row["score"],
        keep_counts=counts_of(attributes.get("keep_counts")),
        macs=number_of(attributes.get("macs")),
        params=number_of(attributes.get("params")),
        top1_agreement=number_of(attributes.get("top1_agreement")),
        divergences=numbers_of(attributes.get("divergences")),
        seconds=number_of(attributes.get("seconds")),
        worker=None if worker is None else int(worker),
        failed=_text(attributes.get("failed")),
        started=row["started"],
        ended=row["ended"],
    )


def counts_of(text: Any) -> Counts:
    """Channels by coupling group that an attribute's JSON text holds; what is no count is left out."""
    value = _json(text)
    if not isinstance(value, dict):
        return {}
    return {str(name): int(count) for name, count in value.items() if _is_number(count) and 0 <= count < 10**9}


def numbers_of(text: Any) -> dict[str, float]:
    """Numbers by name that an attribute's JSON text holds; what is no number is left out."""
    value = _json(text)
    if not isinstance(value, dict):
        return {}
    return {str(name): float(number) for name, number in value.items() if _is_number(number)}


def number_of(text: Any) -> float | None:
    """The number that an attribute's JSON text holds, or None."""
    value = _json(text)
    return value if _is_number(value) else None


def _text(text: str | None) -> str:
    value = _json(text or '""')
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e300
