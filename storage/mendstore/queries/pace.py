"""How trials come in: how many, how fast, how many fail, on which hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mendstore.queries.searches import Search
from mendstore.reading import Snapshot

RECENT = 200
PAUSE_S = 120.0
"""A search pauses where no trial ended for so long and for five times what one takes; pauses do not lower its rate."""
GIVEN_BACK = r'attempt [0-9]+: (signal [0-9]+|stopped|KeyboardInterrupt:? ?|SystemExit:? ?[0-9]*)"$'
"""How the log of an attempt ends, as JSON, that a worker gave back because it was asked to end: it did not fail."""
FEWEST_SPANS, MOST_SPANS = 4, 60
"""Spans of time in which trials are counted."""
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
        states: number of trials by state, in our words; those of a stock optimizer in a search among them.
        done: trials that ended with a score, early or not; in a search, only those that it counts.
        first: when the first trial began, in UTC.
        last: when the last one ended, in UTC.
        now: the database's clock, in UTC.
        rate: recent trials per second that end with a score; None where it is not known, or none ends.
        usual_s: median duration of a recent trial, or None.
        failing: attempts that failed, and were not given back, among the last `RECENT` that ended.
        recent: how many those are.
    """

    states: dict[str, int]
    done: int
    first: datetime | None
    last: datetime | None
    now: datetime
    rate: float | None
    usual_s: float | None
    failing: int
    recent: int

    @property
    def quiet_s(self) -> float:
        """Seconds since a trial ended last, or the first one began."""
        return (self.now - (self.last or self.first or self.now)).total_seconds()


@dataclass(frozen=True)
class HostSpan:
    """Trials of one host in a span of time.

    Attributes:
        at: begin of the span, in UTC.
        seconds: length of the span.
        host: name of the host.
        trials: trials that ended in it with a score.
    """

    at: datetime
    seconds: float
    host: str
    trials: int


def pace_of(snapshot: Snapshot, search: Search) -> Pace:
    """How trials of a search come in; three round trips."""
    counted = snapshot.all(
        "SELECT lower(state::text) AS state, count(*) AS number, min(datetime_start) AS first,"
        " max(datetime_complete) AS last FROM trials WHERE study_id = :study GROUP BY state",
        study=search.study_id,
    )
    recent = snapshot.one(
        """
        WITH late AS (
            SELECT state, datetime_complete - datetime_start AS took,
                extract(epoch FROM datetime_complete - lag(datetime_complete) OVER ended) AS gap_s,
                state = 'FAIL' AND NOT EXISTS (
                    SELECT FROM trial_user_attributes a
                    WHERE a.trial_id = last.trial_id AND a.key = 'failed' AND a.value_json ~ :given_back) AS fails
            FROM (SELECT * FROM trials WHERE study_id = :study AND state IN ('COMPLETE', 'PRUNED', 'FAIL')
                  AND datetime_complete IS NOT NULL ORDER BY number DESC LIMIT :recent) last
            WINDOW ended AS (ORDER BY datetime_complete)
        ), usual AS (SELECT extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY took)) AS usual_s FROM late)
        SELECT timezone('utc', clock_timestamp()) AS now, count(*) AS recent,
            count(*) FILTER (WHERE fails) AS failing, count(*) FILTER (WHERE state <> 'FAIL') AS done,
            sum(gap_s) FILTER (WHERE NOT gap_s > greatest(:pause, 5 * usual_s)) AS span_s, min(usual_s) AS usual_s
        FROM late CROSS JOIN usual
        """,
        study=search.study_id,
        recent=RECENT,
        given_back=GIVEN_BACK,
        pause=PAUSE_S,
    )
    states = {STATES[row["state"]]: row["number"] for row in counted}
    begins = [row["first"] for row in counted if row["first"] is not None]
    last = max((row["last"] for row in counted if row["last"] is not None), default=None)
    usual_s, span = None if recent["usual_s"] is None else float(recent["usual_s"]), float(recent["span_s"] or 0)
    paused = last is not None and (recent["now"] - last).total_seconds() > max(PAUSE_S, 5 * (usual_s or 0))
    scored = states.get("complete", 0) + states.get("stopped_early", 0)
    return Pace(
        states=states,
        done=scored if search.wanted is None else done_of(snapshot, search.study_id),
        first=min(begins, default=None),
        last=last,
        now=recent["now"],
        rate=(recent["done"] - 1) / span if span > 0 and recent["done"] > 1 and not paused else None,
        usual_s=usual_s,
        failing=recent["failing"],
        recent=recent["recent"],
    )


def done_of(snapshot: Snapshot, study_id: int) -> int:
    """How many trials of a search ended with a score; those of a stock optimizer in its study do not count."""
    return int(snapshot.one("SELECT mend_done(:study) AS done", study=study_id)["done"])


def throughput(snapshot: Snapshot, search: Search, pace: Pace) -> list[HostSpan]:
    """Trials by host in equal spans of time, from the first trial to the last; empty for a study of stock Optuna.

    A span is long enough for a dozen trials on average, so that the pace is seen and not the single trial.
    """
    first, last = pace.first, pace.last
    if search.wanted is None or first is None or last is None or last <= first:
        return []
    spans = max(FEWEST_SPANS, min(MOST_SPANS, pace.done // 12))
    rows = snapshot.all(
        """
        SELECT cast(:first AS timestamp) + span * cast(:step AS double precision) * interval '1 second' AS at,
            cast(:step AS double precision) AS seconds, host, count(*) AS trials
        FROM (SELECT w.host,
                  least(:spans - 1, floor(extract(epoch FROM t.datetime_complete - :first) / :step))::integer AS span
              FROM mend_items i JOIN trials t USING (trial_id) JOIN mend_workers w USING (worker_id)
              WHERE i.study_id = :study AND i.state = 'done' AND t.datetime_complete >= :first) done
        GROUP BY span, host ORDER BY span, host
        """,
        study=search.study_id,
        first=first,
        spans=spans,
        step=max(1e-3, (last - first).total_seconds() / spans),
    )
    return [HostSpan(**row) for row in rows]
