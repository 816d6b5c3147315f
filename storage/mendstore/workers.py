"""The processes that are workers of a search."""

from __future__ import annotations

from mendstore.database import Database
from mendstore.processes import Process
from mendstore.queries import workers
from mendstore.reading import Snapshot


def open_workers(database: Database, study_id: int) -> dict[int, Process]:
    """Workers of a search that have not said that they ended, by their id."""
    found = database.run(lambda connection: workers.open_workers(Snapshot(connection), [study_id]))
    return {worker.worker_id: worker.process for worker in found}


def alive(database: Database, study_id: int) -> int:
    """How many workers of a search are alive: heard within a lease, their process not known to have ended."""
    found = database.run(lambda connection: workers.alive_by_study(Snapshot(connection), [study_id]))
    return found.get(study_id, 0)
