"""How trials come in: how many, how fast, how many fail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mendview.reading import Look
from mendview.searches import Search

RECENT = 200
PAUSE_S = 120.0
"""No trial ended for so long, and for five times what one takes: the search pauses, which is no part of its rate."""
STATES = {
    "complete": "complete",
    "pruned": "stopped_early",
    "running": "running",
    "waiting": "waiting",
    "fail": "failed",
}
"""Our words for Optuna's states."""


@dataclass(frozen=True)
class Pace:
    """How trials come in.

    Attributes:
        states: number of trials by state, in our words.
        first: when the first trial began, in UTC.
        last: when the last one ended, in UTC.
        now: the database's clock, in UTC.
        rate: trials a second that end with a score, of late; None where it is not known, or none ends.
        usual_s: how long a trial takes as a rule, or None.
        failing: attempts that failed among the last `RECENT` that ended.
        recent: how many those are.
    """

    states: dict[str, int]
    first: datetime | None
    last: datetime | None
    now: datetime
    rate: float | None
    usual_s: float | None
    failing: int
    recent: int

    @property
    def done(self) -> int:
        """Trials that ended with a score, early or not."""
        return self.states.get("complete", 0) + self.states.get("stopped_early", 0)

    @property
    def quiet_s(self) -> float:
        """Seconds since a trial ended last, or the first one began."""
        return (self.now - (self.last or self.first or self.now)).total_seconds()


def pace_of(look: Look, search: Search) -> Pace:
    """How trials come in."""
    counted = look.all(
        "SELECT lower(state::text) AS state, count(*) AS number, min(datetime_start) AS first,"
        " max(datetime_complete) AS last FROM trials WHERE study_id = :study GROUP BY state",
        study=search.study_id,
    )
    recent = look.one(
        """
        WITH late AS (
            SELECT state, datetime_complete - datetime_start AS took,
                extract(epoch FROM datetime_complete - lag(datetime_complete) OVER ended) AS gap_s
            FROM (SELECT * FROM trials WHERE study_id = :study AND state IN ('COMPLETE', 'PRUNED', 'FAIL')
                  AND datetime_complete IS NOT NULL ORDER BY number DESC LIMIT :recent) last
            WINDOW ended AS (ORDER BY datetime_complete)
        ), usual AS (SELECT extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY took)) AS usual_s FROM late)
        SELECT timezone('utc', clock_timestamp()) AS now, count(*) AS recent,
            count(*) FILTER (WHERE state = 'FAIL') AS failing, count(*) FILTER (WHERE state <> 'FAIL') AS done,
            sum(gap_s) FILTER (WHERE NOT gap_s > greatest(:pause, 5 * usual_s)) AS span_s, min(usual_s) AS usual_s
        FROM late CROSS JOIN usual
        """,
        study=search.study_id,
        recent=RECENT,
        pause=PAUSE_S,
    )
    begins = [row["first"] for row in counted if row["first"] is not None]
    last = max((row["last"] for row in counted if row["last"] is not None), default=None)
    usual_s, span = None if recent["usual_s"] is None else float(recent["usual_s"]), float(recent["span_s"] or 0)
    paused = last is not None and (recent["now"] - last).total_seconds() > max(PAUSE_S, 5 * (usual_s or 0))
    return Pace(
        states={STATES[row["state"]]: row["number"] for row in counted},
        first=min(begins, default=None),
        last=last,
        now=recent["now"],
        rate=(recent["done"] - 1) / span if span > 0 and recent["done"] > 1 and not paused else None,
        usual_s=usual_s,
        failing=recent["failing"],
        recent=recent["recent"],
    )
