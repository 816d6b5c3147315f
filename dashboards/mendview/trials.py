"""Trials of a search, counted and summed up in SQL: what comes out does not grow with the number of trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mendview.reading import Look, Row
from mendview.searches import Search
from mendview.structure import Counts, read_counts

EACH = 600
"""Up to so many trials each is drawn by itself; past it they are summed up in spans."""
SPANS = 120

_SCORED = """
    trials t JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    WHERE t.study_id = :study AND t.state = 'COMPLETE'
"""


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: of the trial in its study.
        state: in lower case, as Optuna calls it.
        score: its value, or what it was expected to be where it was stopped early.
        keep_counts: the candidate, or empty.
        macs: cost of the candidate.
        params: cost of the candidate.
        top1_agreement: share of the validation images with the class of the search's yardstick.
        seconds: that scoring took.
        worker: its identifier, or None.
        failed: log of an attempt that failed, or an empty string.
        started: in UTC.
        ended: in UTC.
    """

    number: int
    state: str
    score: float | None
    keep_counts: Counts
    macs: float | None
    params: float | None
    top1_agreement: float | None
    seconds: float | None
    worker: int | None
    failed: str
    started: datetime | None
    ended: datetime | None


def improvements(look: Look, search: Search) -> list[Row]:
    """Trials that were better than all that ended before: number, at (UTC), score, and how many had ended by then."""
    return look.all(
        f"""
        SELECT number, at, score, rank FROM (
            SELECT t.number, t.datetime_complete AS at, v.value AS score,
                row_number() OVER ended AS rank,
                max(:sign * v.value) OVER (ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM {_SCORED} WINDOW ended AS (ORDER BY t.datetime_complete, t.number)
        ) scored WHERE before IS NULL OR :sign * score > before ORDER BY at, number
        """,  # noqa: S608
        study=search.study_id,
        sign=search.sign,
    )


def each(look: Look, search: Search) -> list[Row]:
    """Number, end (UTC), state, score of every trial that ended, for a study of `EACH` trials or fewer."""
    return look.all(
        """
        SELECT t.number, t.datetime_complete AS at, lower(t.state::text) AS state,
            coalesce(v.value, (SELECT i.intermediate_value FROM trial_intermediate_values i
                               WHERE i.trial_id = t.trial_id ORDER BY step DESC LIMIT 1)) AS score
        FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
        WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED') ORDER BY t.number
        """,
        study=search.study_id,
    )


def spans(look: Look, search: Search, trials: int, most: int = SPANS) -> list[Row]:
    """Trials in `most` spans by number: the best of each, quartiles of the complete, and how they ended."""
    return look.all(
        """
        SELECT min(number) AS number, max(at) AS at, count(*) AS trials,
            count(*) FILTER (WHERE state = 'COMPLETE') AS complete, count(*) FILTER (WHERE state = 'PRUNED') AS pruned,
            count(*) FILTER (WHERE state = 'FAIL') AS fail,
            percentile_cont(0.25) WITHIN GROUP (ORDER BY score) AS low,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY score) AS middle,
            percentile_cont(0.75) WITHIN GROUP (ORDER BY score) AS high,
            :sign * max(:sign * score) AS best,
            (array_agg(number ORDER BY :sign * score DESC NULLS LAST))[1] AS best_number
        FROM (SELECT t.number, t.state, t.datetime_complete AS at, v.value AS score,
                  t.number / greatest(1, ceil(:trials / cast(:spans AS numeric))::integer) AS span
              FROM trials t LEFT JOIN trial_values v
                ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE' AND t.state = 'COMPLETE'
              WHERE t.study_id = :study AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')) spanned
        GROUP BY span ORDER BY span
        """,
        study=search.study_id,
        sign=search.sign,
        trials=trials,
        spans=most,
    )


def top(look: Look, search: Search, number: int = 10) -> list[Trial]:
    """The best complete trials, the best first."""
    rows = look.all(
        f"SELECT t.trial_id FROM {_SCORED} ORDER BY :sign * v.value DESC, t.number LIMIT :number",  # noqa: S608
        study=search.study_id,
        sign=search.sign,
        number=number,
    )
    return _trials(look, [row["trial_id"] for row in rows])


def one(look: Look, search: Search, number: int) -> Trial | None:
    """The trial of that number."""
    row = look.first(
        "SELECT trial_id FROM trials WHERE study_id = :study AND number = :number", study=search.study_id, number=number
    )
    return None if row is None else _trials(look, [row["trial_id"]])[0]


def latest_failures(look: Look, search: Search, number: int = 10) -> list[Trial]:
    """The attempts that failed last."""
    rows = look.all(
        "SELECT trial_id FROM trials t WHERE study_id = :study AND state = 'FAIL' ORDER BY t.number DESC LIMIT :number",
        study=search.study_id,
        number=number,
    )
    return _trials(look, [row["trial_id"] for row in rows])


def scattered(look: Look, search: Search, number: int = 400) -> list[Row]:
    """Number, score, macs and params of the best and of evenly spaced complete trials, `number` at the most."""
    rows = look.all(
        f"""
        SELECT s.number, s.score, {_attribute("macs")} AS macs, {_attribute("params")} AS params FROM (
            SELECT t.trial_id, t.number, v.value AS score, row_number() OVER (ORDER BY t.number) AS position,
                rank() OVER (ORDER BY :sign * v.value DESC) AS place, count(*) OVER () AS trials
            FROM {_SCORED}
        ) s WHERE place <= 50 OR position % greatest(1, s.trials / :number) = 0 ORDER BY place
        """,  # noqa: S608
        study=search.study_id,
        sign=search.sign,
        number=number,
    )
    return [{**row, "macs": number_of(row["macs"]), "params": number_of(row["params"])} for row in rows]


def _attribute(key: str) -> str:
    return f"(SELECT a.value_json FROM trial_user_attributes a WHERE a.trial_id = s.trial_id AND a.key = '{key}')"  # noqa: S608


def _trials(look: Look, ids: Sequence[int]) -> list[Trial]:
    rows = {
        row["trial_id"]: row
        for row in look.all(
            """
            SELECT t.trial_id, t.number, lower(t.state::text) AS state, t.datetime_start AS started,
                t.datetime_complete AS ended,
                coalesce(v.value, (SELECT i.intermediate_value FROM trial_intermediate_values i
                                   WHERE i.trial_id = t.trial_id ORDER BY step DESC LIMIT 1)) AS score,
                (SELECT jsonb_object_agg(a.key, a.value_json) FROM trial_user_attributes a WHERE a.trial_id = t.trial_id
                 AND a.key IN ('keep_counts', 'macs', 'params', 'top1_agreement', 'seconds', 'worker', 'failed'))
                    AS attributes
            FROM trials t LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
            WHERE t.trial_id = ANY (:ids)
            """,
            ids=list(ids),
        )
    }
    return [_trial(rows[trial_id]) for trial_id in ids if trial_id in rows]


def _trial(row: Row) -> Trial:
    attributes = row["attributes"] or {}
    worker, failed = number_of(attributes.get("worker")), attributes.get("failed")
    return Trial(
        number=row["number"],
        state=row["state"],
        score=row["score"],
        keep_counts=read_counts(attributes.get("keep_counts")),
        macs=number_of(attributes.get("macs")),
        params=number_of(attributes.get("params")),
        top1_agreement=number_of(attributes.get("top1_agreement")),
        seconds=number_of(attributes.get("seconds")),
        worker=None if worker is None else int(worker),
        failed=_text(failed),
        started=row["started"],
        ended=row["ended"],
    )


def number_of(text: Any) -> float | None:
    """The number that an attribute's JSON text holds, or None."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


def _text(text: str | None) -> str:
    try:
        value = json.loads(text or '""')
    except ValueError:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
