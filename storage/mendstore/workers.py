"""The processes that are, or were, workers of a search."""

from __future__ import annotations

import sqlalchemy as sa

from mendstore.database import Database
from mendstore.processes import Process, surely_dead

_workers = sa.table(
    "mend_workers",
    *(sa.column(name) for name in ("worker_id", "study_id", "host", "boot", "pid", "ended_at", "seen_at")),
)


def open_workers(database: Database, study_id: int, seen_s: float | None = None) -> dict[int, Process]:
    """Workers of a search that have not said goodbye, by their id.

    Args:
        database: of the search.
        study_id: of its study.
        seen_s: only those that were heard of within so many seconds.
    """
    columns = (_workers.c.worker_id, _workers.c.host, _workers.c.boot, _workers.c.pid)
    statement = sa.select(*columns).where(_workers.c.study_id == study_id, _workers.c.ended_at.is_(None))
    if seen_s is not None:
        statement = statement.where(
            _workers.c.seen_at > sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, seen_s)
        )
    rows = database.run(lambda connection: connection.execute(statement).all())
    return {row.worker_id: Process(row.host, row.boot, row.pid) for row in rows}


def alive(database: Database, study_id: int, lease_s: float) -> int:
    """How many workers of a search are at work, as far as can be known from here."""
    heard = open_workers(database, study_id, lease_s)
    return sum(not surely_dead(process) for process in heard.values())
