"""The workers of a search: the only place that says which of them are alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from mendstore.processes import Process, surely_dead
from mendstore.reading import Row, Snapshot

if TYPE_CHECKING:
    from mendstore.queries.searches import Search

SHOWN = 500
GAPS = 1000

State = Literal["alive", "silent", "lost"]


@dataclass(frozen=True)
class OpenWorker:
    """A worker that has not said that it ended.

    Attributes:
        worker_id: id of the worker.
        study_id: id of the search's study.
        process: its process.
        started_at: when it joined.
        state: `alive`; `silent` without a heartbeat for a lease; `lost` where its process is known to have ended.
    """

    worker_id: int
    study_id: int
    process: Process
    started_at: datetime
    state: State


@dataclass(frozen=True)
class Worker:
    """One worker.

    Attributes:
        worker_id: id of the worker.
        ordinal: 0, 1, … within the search.
        host: name of its host.
        device: device that it computes on.
        pid: id of its process.
        state: alive, silent (no heartbeat for a lease, not yet considered dead), lost, or how it ended.
        seen_s: seconds since its last heartbeat.
        done: trials that it brought to an end.
        hourly: the same per hour of its life.
        lease_s: age in seconds of the oldest lease that it holds, or None.
        left_s: seconds until that lease runs out, or None.
        best: best of its scores.
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
        """Whether it renewed within a lease and its process is not known to have ended."""
        return self.state == "alive"


@dataclass(frozen=True)
class Gaps:
    """Seconds from a worker's result to its next claim.

    Attributes:
        p50: the median, or None where there is none.
        p99: the 99th percentile, or None.
    """

    p50: float | None = None
    p99: float | None = None


def open_workers(snapshot: Snapshot, study_ids: Sequence[int]) -> list[OpenWorker]:
    """Workers of searches that have not said that they ended, by id."""
    rows = snapshot.all(
        """
        SELECT w.worker_id, w.study_id, w.host, w.boot, w.pid, w.started_at,
            w.seen_at > clock_timestamp() - make_interval(secs => s.lease_s) AS heard
        FROM mend_workers w JOIN mend_searches s USING (study_id)
        WHERE w.study_id = ANY (:studies) AND w.ended_at IS NULL ORDER BY w.worker_id
        """,
        studies=list(study_ids),
    )
    return [_open(row) for row in rows]


def alive_by_study(snapshot: Snapshot, study_ids: Sequence[int]) -> dict[int, int]:
    """How many workers are alive, for each study that has any."""
    found: dict[int, int] = {}
    if snapshot.fleet:
        for worker in open_workers(snapshot, study_ids):
            if worker.state == "alive":
                found[worker.study_id] = found.get(worker.study_id, 0) + 1
    return found


def workers(snapshot: Snapshot, search: Search) -> list[Worker]:
    """The workers of a search, `SHOWN` at the most: those alive first, then those that went last; two round trips."""
    if search.wanted is None:
        return []
    states = {worker.worker_id: worker.state for worker in open_workers(snapshot, [search.study_id])}
    rows = snapshot.all(
        """
        SELECT w.worker_id, w.ordinal, w.host, w.device, w.pid, coalesce(i.done, 0) AS done, i.best, i.middle,
            extract(epoch FROM clock_timestamp() - w.seen_at) AS seen_s, w.ending,
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
        WHERE w.study_id = :study ORDER BY w.ended_at DESC NULLS FIRST, w.ordinal LIMIT :limit
        """,
        study=search.study_id,
        sign=search.sign,
        limit=SHOWN,
    )
    found = [_worker(row, states.get(row["worker_id"])) for row in rows]
    return sorted(found, key=lambda worker: not worker.alive)


def claim_gaps(snapshot: Snapshot, search: Search) -> Gaps:
    """Seconds between a worker's result and its next claim, over the last `GAPS` claims."""
    if search.wanted is None:
        return Gaps()
    row = snapshot.one(
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
    return Gaps(**{key: None if value is None else float(value) for key, value in row.items()})


def _open(row: Row) -> OpenWorker:
    process = Process(row["host"], row["boot"], row["pid"])
    state: State = "lost" if surely_dead(process) else "alive" if row["heard"] else "silent"
    return OpenWorker(row["worker_id"], row["study_id"], process, row["started_at"], state)


def _worker(row: Row, state: State | None) -> Worker:
    ending = str(row["ending"] or "finished").replace("finished", "ended")  # the search may have more to do
    life_s = float(row["life_s"])
    return Worker(
        worker_id=row["worker_id"],
        ordinal=row["ordinal"],
        host=row["host"],
        device=row["device"],
        pid=row["pid"],
        state=state or ("lost" if ending.startswith("lost") else ending),
        seen_s=float(row["seen_s"]),
        done=row["done"],
        hourly=3600 * row["done"] / life_s if life_s > 0 else 0.0,
        lease_s=None if row["lease_s"] is None else float(row["lease_s"]),
        left_s=None if row["left_s"] is None else float(row["left_s"]),
        best=row["best"],
        middle=row["middle"],
    )
