"""The fleet of a search: workers, leases, faults, candidates that were set aside. Empty for a study of stock Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mendview.reading import Look, Row
from mendview.searches import Search

EVENTS = 25
FAULTS = ("lost", "failed", "set aside", "outage", "late result")
GAPS = 1000


@dataclass(frozen=True)
class Worker:
    """One worker.

    Attributes:
        worker_id: its identifier.
        ordinal: 0, 1, … within the search.
        host: it runs on.
        device: it computes on.
        pid: of its process.
        state: alive, silent (no sign of life for a lease, not yet given up), lost, or how it ended.
        seen_s: seconds since its last sign of life.
        done: trials that it brought to an end.
        hourly: the same, by the hour of its life.
        lease_s: age of the oldest lease that it holds, or None.
        left_s: seconds until that lease runs out, or None.
        best: its best score.
        middle: median of its scores.
    """

    worker_id: int
    ordinal: int
    host: str
    device: str
    pid: int
    state: str
    seen_s: float
    done: int
    hourly: float
    lease_s: float | None
    left_s: float | None
    best: float | None
    middle: float | None

    @property
    def alive(self) -> bool:
        """Whether it was heard of within a lease."""
        return self.state == "alive"


@dataclass(frozen=True)
class Crew:
    """How many workers there are.

    Attributes:
        alive: heard of within a lease, and not ended.
        silent: not ended, and not heard of for a lease.
        lost: given up for lost.
        ended: that ended by themselves.
        hosts: of those alive.
        here_s: seconds since the first of those alive joined.
        leased: candidates being scored.
        waiting: candidates that wait for a worker.
        retried: candidates that took more than one attempt.
        set_aside: candidates that failed three times.
        faults: number of events by kind.
    """

    alive: int = 0
    silent: int = 0
    lost: int = 0
    ended: int = 0
    hosts: int = 0
    here_s: float = 0.0
    leased: int = 0
    waiting: int = 0
    retried: int = 0
    set_aside: int = 0
    faults: dict[str, int] | None = None

    @property
    def all(self) -> int:
        """Workers that ever joined."""
        return self.alive + self.silent + self.lost + self.ended


def crew(look: Look, search: Search) -> Crew:
    """How many workers there are, and how it goes with them."""
    if not look.fleet or search.wanted is None:
        return Crew()
    workers = look.one(
        """
        SELECT count(*) FILTER (WHERE open AND heard) AS alive, count(*) FILTER (WHERE open AND NOT heard) AS silent,
            count(*) FILTER (WHERE NOT open AND ending LIKE 'lost%') AS lost,
            count(*) FILTER (WHERE NOT open AND coalesce(ending, '') NOT LIKE 'lost%') AS ended,
            count(DISTINCT host) FILTER (WHERE open AND heard) AS hosts,
            coalesce(extract(epoch FROM clock_timestamp() - min(started_at) FILTER (WHERE open AND heard)), 0)::float
                AS here_s
        FROM (SELECT host, ending, started_at, ended_at IS NULL AS open,
                  seen_at > clock_timestamp() - make_interval(secs => :lease) AS heard
              FROM mend_workers WHERE study_id = :study) w
        """,
        study=search.study_id,
        lease=search.lease_s,
    )
    items = look.one(
        """
        SELECT count(*) FILTER (WHERE state = 'leased') AS leased, count(*) FILTER (WHERE state = 'waiting') AS waiting,
            count(*) FILTER (WHERE attempts > 1) AS retried, count(*) FILTER (WHERE state = 'set_aside') AS set_aside
        FROM mend_items WHERE study_id = :study
        """,
        study=search.study_id,
    )
    events = look.all(
        "SELECT CASE WHEN kind = 'left' THEN 'lost' ELSE kind END AS kind, count(*) AS number FROM mend_events"
        " WHERE study_id = :study AND (kind <> 'left' OR detail LIKE 'lost%') GROUP BY 1",
        study=search.study_id,
    )
    faults = {row["kind"]: row["number"] for row in events}
    return Crew(**workers, **items, faults={kind: faults.get(kind, 0) for kind in FAULTS})


def workers(look: Look, search: Search) -> list[Worker]:
    """Every worker: those alive first, then those that went last."""
    if not look.fleet or search.wanted is None:
        return []
    rows = look.all(
        """
        SELECT w.worker_id, w.ordinal, w.host, w.device, w.pid, coalesce(i.done, 0) AS done, i.best, i.middle,
            extract(epoch FROM clock_timestamp() - w.seen_at) AS seen_s, w.ended_at IS NULL AS open, w.ending,
            extract(epoch FROM coalesce(w.ended_at, clock_timestamp()) - w.started_at) AS life_s,
            extract(epoch FROM clock_timestamp() - i.leased_at) AS lease_s,
            extract(epoch FROM i.expires_at - clock_timestamp()) AS left_s
        FROM mend_workers w LEFT JOIN (
            SELECT m.worker_id, count(*) FILTER (WHERE m.state = 'done') AS done,
                min(m.leased_at) FILTER (WHERE m.state = 'leased') AS leased_at,
                min(m.expires_at) FILTER (WHERE m.state = 'leased') AS expires_at,
                :sign * max(:sign * v.value) AS best,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY v.value) AS middle
            FROM mend_items m LEFT JOIN trial_values v
                ON v.trial_id = m.trial_id AND v.objective = 0 AND v.value_type = 'FINITE' AND m.state = 'done'
            WHERE m.study_id = :study GROUP BY m.worker_id
        ) i USING (worker_id)
        WHERE w.study_id = :study ORDER BY w.ended_at DESC NULLS FIRST, w.ordinal LIMIT 500
        """,
        study=search.study_id,
        sign=search.sign,
    )
    return [_worker(row, search.lease_s) for row in rows]


def events(look: Look, search: Search) -> list[Row]:
    """What happened last: at (UTC), kind, detail, ordinal of the worker."""
    if not look.fleet or search.wanted is None:
        return []
    return look.all(
        """
        SELECT timezone('utc', e.at) AS at, e.kind, left(e.detail, 500) AS detail, w.ordinal
        FROM mend_events e LEFT JOIN mend_workers w USING (worker_id)
        WHERE e.study_id = :study ORDER BY e.event_id DESC LIMIT :limit
        """,
        study=search.study_id,
        limit=EVENTS,
    )


def set_aside(look: Look, search: Search) -> list[Row]:
    """Candidates that failed three times: number of the last attempt, attempts, log."""
    if not look.fleet or search.wanted is None:
        return []
    return look.all(
        """
        SELECT t.number, i.attempts, left(i.log, 8000) AS log FROM mend_items i LEFT JOIN trials t USING (trial_id)
        WHERE i.study_id = :study AND i.state = 'set_aside' ORDER BY i.item_id DESC LIMIT 50
        """,
        study=search.study_id,
    )


def throughput(look: Look, search: Search, first: datetime, last: datetime, spans: int = 60) -> list[Row]:
    """Trials by host in equal spans of time: start (UTC), seconds of the span, host, trials."""
    if not look.fleet or search.wanted is None or last <= first:
        return []
    return look.all(
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


def claim_gaps(look: Look, search: Search) -> Row:
    """Seconds between a worker's result and its next claim, over the last `GAPS` claims: p50, p99."""
    if not look.fleet or search.wanted is None:
        return {"p50": None, "p99": None}
    return look.one(
        """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) AS p50,
            percentile_cont(0.99) WITHIN GROUP (ORDER BY gap) AS p99
        FROM (SELECT extract(epoch FROM t.datetime_start - lag(t.datetime_complete) OVER (
                  PARTITION BY i.worker_id ORDER BY t.datetime_start)) AS gap
              FROM (SELECT worker_id, trial_id FROM mend_items WHERE study_id = :study AND state = 'done'
                    ORDER BY item_id DESC LIMIT :gaps) i JOIN trials t USING (trial_id)) gaps
        WHERE gap >= 0
        """,
        study=search.study_id,
        gaps=GAPS,
    )


def _worker(row: Row, lease_s: float) -> Worker:
    seen_s, life_s = float(row["seen_s"]), float(row["life_s"])
    open_state = "alive" if seen_s < lease_s else "silent"
    ending = str(row["ending"] or "finished").replace("finished", "ended")  # of itself; the search may have more to do
    return Worker(
        worker_id=row["worker_id"],
        ordinal=row["ordinal"],
        host=row["host"],
        device=row["device"],
        pid=row["pid"],
        state=open_state if row["open"] else "lost" if ending.startswith("lost") else ending,
        seen_s=seen_s,
        done=row["done"],
        hourly=3600 * row["done"] / life_s if life_s > 0 else 0.0,
        lease_s=None if row["lease_s"] is None else float(row["lease_s"]),
        left_s=None if row["left_s"] is None else float(row["left_s"]),
        best=row["best"],
        middle=row["middle"],
    )
