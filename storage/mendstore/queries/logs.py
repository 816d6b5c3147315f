"""What happened in a search, in the order in which it happened."""

from __future__ import annotations

from mendstore.queries.fleet import Event
from mendstore.queries.searches import Search
from mendstore.reading import Snapshot


def log(snapshot: Snapshot, search: Search, last: int, worker: int | None = None) -> list[Event]:
    """The last events in full, the first of them first.

    Args:
        snapshot: the database.
        search: a search that mendsearch made; of others nothing is recorded.
        last: number of events at the most.
        worker: ordinal of the worker whose events are wanted; None for those of all and of people.
    """
    if search.wanted is None:
        return []
    rows = snapshot.all(
        """
        SELECT timezone('utc', e.at) AS at, e.kind, e.detail, w.ordinal
        FROM mend_events e LEFT JOIN mend_workers w USING (worker_id)
        WHERE e.study_id = :study AND (CAST(:worker AS integer) IS NULL OR w.ordinal = :worker)
        ORDER BY e.event_id DESC LIMIT :last
        """,
        study=search.study_id,
        worker=worker,
        last=last,
    )
    return [Event(**row) for row in reversed(rows)]
