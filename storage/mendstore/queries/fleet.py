"""A fleet as a whole: workers by state, candidates by state, faults, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mendstore.queries.searches import Search
from mendstore.queries.workers import open_workers
from mendstore.reading import Snapshot

EVENTS, EVENT_CHARACTERS = 25, 500
SET_ASIDE = 50
LOG_CHARACTERS = 8000
FAULTS = ("lost", "failed", "set aside", "outage", "late result")


@dataclass(frozen=True)
class FleetStatus:
    """How many workers there are, and how it goes with them.

    Attributes:
        alive: workers that renewed within a lease and whose process is not known to have ended.
        silent: workers that have not ended, and sent no heartbeat for a lease.
        lost: workers that are considered dead, or whose process is known to have ended.
        ended: workers that ended by themselves.
        hosts: hosts of those alive.
        here_s: seconds since the first of those alive joined.
        leased: candidates that a worker holds, or held until it died.
        waiting: candidates that wait for a worker.
        set_aside: candidates that failed three times.
        faults: number of events by kind.
        last_failure: first line of the last failure, or of how the last lost worker was lost; "" without any.
    """

    alive: int = 0
    silent: int = 0
    lost: int = 0
    ended: int = 0
    hosts: int = 0
    here_s: float = 0.0
    leased: int = 0
    waiting: int = 0
    set_aside: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    last_failure: str = ""

    @property
    def working(self) -> int:
        """Candidates that are being scored: none where no worker is alive, whatever leases say."""
        return self.leased if self.alive else 0

    @property
    def all(self) -> int:
        """Workers that ever joined."""
        return self.alive + self.silent + self.lost + self.ended


@dataclass(frozen=True)
class Event:
    """Something that happened to a fleet.

    Attributes:
        at: when, in UTC.
        kind: joined, left, failed, set aside, outage, late result, stop, resume, reuse, trials or workers.
        detail: more about it.
        ordinal: ordinal of the worker within the search, or None.
    """

    at: datetime
    kind: str
    detail: str
    ordinal: int | None


@dataclass(frozen=True)
class SetAside:
    """A candidate that failed three times and is not tried again.

    Attributes:
        number: number of the last attempt's trial, or None.
        attempts: attempts at it.
        log: what the attempts left behind.
    """

    number: int | None
    attempts: int
    log: str | None


def fleet_status(snapshot: Snapshot, search: Search) -> FleetStatus:
    """Workers, candidates and faults of a search, all 0 for a study of stock Optuna; four round trips."""
    if search.wanted is None:
        return FleetStatus()
    still_open = open_workers(snapshot, [search.study_id])
    states = Counter(worker.state for worker in still_open)
    alive = [worker for worker in still_open if worker.state == "alive"]
    closed = snapshot.one(
        """
        SELECT count(*) FILTER (WHERE ending LIKE 'lost%') AS lost,
            count(*) FILTER (WHERE coalesce(ending, '') NOT LIKE 'lost%') AS ended, clock_timestamp() AS now
        FROM mend_workers WHERE study_id = :study AND ended_at IS NOT NULL
        """,
        study=search.study_id,
    )
    items = snapshot.one(
        """
        SELECT (SELECT count(*) FROM mend_items WHERE study_id = :study AND state = 'leased') AS leased,
            (SELECT count(*) FROM mend_items WHERE study_id = :study AND state = 'waiting') AS waiting,
            (SELECT count(*) FROM mend_items WHERE study_id = :study AND state = 'set_aside') AS set_aside,
            coalesce((SELECT left(split_part(detail, chr(10), 1), :characters) FROM mend_events
                WHERE study_id = :study AND (kind = 'failed' OR kind = 'left' AND detail LIKE 'lost%')
                ORDER BY event_id DESC LIMIT 1), '') AS last_failure
        """,
        study=search.study_id,
        characters=EVENT_CHARACTERS,
    )
    here_s = (closed["now"] - min(worker.started_at for worker in alive)).total_seconds() if alive else 0.0
    return FleetStatus(
        alive=len(alive),
        silent=states["silent"],
        lost=states["lost"] + closed["lost"],
        ended=closed["ended"],
        hosts=len({worker.process.host for worker in alive}),
        here_s=here_s,
        **items,
        faults=_faults(snapshot, search),
    )


def retried(snapshot: Snapshot, search: Search) -> int:
    """How many candidates of a search took more than one attempt; it reads all of them."""
    query = "SELECT count(*) AS number FROM mend_items WHERE study_id = :study AND attempts > 1"
    return 0 if search.wanted is None else int(snapshot.one(query, study=search.study_id)["number"])


def events(
    snapshot: Snapshot,
    search: Search,
    last: int = EVENTS,
    worker: int | None = None,
    characters: int | None = EVENT_CHARACTERS,
) -> list[Event]:
    """The last events, the last first.

    Args:
        snapshot: the database.
        search: a search that mendsearch made; of others nothing is recorded.
        last: number of events at the most.
        worker: ordinal of the worker whose events are wanted; None for those of all and of people.
        characters: length of a detail at the most; None for all of it.
    """
    if search.wanted is None:
        return []
    rows = snapshot.all(
        """
        SELECT timezone('utc', e.at) AS at, e.kind, w.ordinal,
            left(e.detail, coalesce(CAST(:characters AS integer), length(e.detail))) AS detail
        FROM mend_events e LEFT JOIN mend_workers w USING (worker_id)
        WHERE e.study_id = :study AND (CAST(:worker AS integer) IS NULL OR w.ordinal = :worker)
        ORDER BY e.event_id DESC LIMIT :last
        """,
        study=search.study_id,
        worker=worker,
        characters=characters,
        last=last,
    )
    return [Event(**row) for row in rows]


def set_aside(snapshot: Snapshot, search: Search) -> list[SetAside]:
    """The last candidates that failed three times, the last first."""
    if search.wanted is None:
        return []
    rows = snapshot.all(
        """
        SELECT t.number, i.attempts, left(i.log, :characters) AS log
        FROM mend_items i LEFT JOIN trials t USING (trial_id)
        WHERE i.study_id = :study AND i.state = 'set_aside' ORDER BY i.item_id DESC LIMIT :limit
        """,
        study=search.study_id,
        characters=LOG_CHARACTERS,
        limit=SET_ASIDE,
    )
    return [SetAside(**row) for row in rows]


def _faults(snapshot: Snapshot, search: Search) -> dict[str, int]:
    rows = snapshot.all(
        "SELECT CASE WHEN kind = 'left' THEN 'lost' ELSE kind END AS kind, count(*) AS number FROM mend_events"
        " WHERE study_id = :study AND (kind <> 'left' OR detail LIKE 'lost%') GROUP BY 1",
        study=search.study_id,
    )
    found = {row["kind"]: row["number"] for row in rows}
    return {kind: found.get(kind, 0) for kind in FAULTS}
