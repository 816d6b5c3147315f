"""The processes that are workers of a search, and how many of them a run has on its own machine.

The number of local workers is two attributes of the study, with one writer each: the run says how many it has, and
people how many it should have.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from mendstore.database import Database
from mendstore.processes import Process, this_process
from mendstore.queries import workers
from mendstore.queries.local_workers import ASKED, LOCAL_WORKERS, LocalWorkers, asked_for, local_workers_of
from mendstore.queries.registered import Registered
from mendstore.reading import Snapshot
from mendstore.searches import describe, enter


def open_workers(database: Database, study_id: int) -> dict[int, Process]:
    """Workers of a search that have not said that they ended, by their id."""
    found = database.run(lambda connection: workers.open_workers(Snapshot(connection), [study_id]))
    return {worker.worker_id: worker.process for worker in found}


def alive(database: Database, study_id: int) -> int:
    """How many workers of a search are alive: heard within a lease, their process not known to have ended."""
    found = database.run(lambda connection: workers.alive_by_study(Snapshot(connection), [study_id]))
    return found.get(study_id, 0)


def local_workers(database: Database, search: Registered) -> LocalWorkers | None:
    """The local workers of a search; None where no run has any."""
    return database.run(lambda connection: local_workers_of(Snapshot(connection), search.study_id))


def say_local_workers(database: Database, search: Registered, number: int) -> None:
    """Say that this process, a run, has so many local workers; 0 when it has ended."""
    said = {"number": number, "process": asdict(this_process())}
    describe(database, search, {LOCAL_WORKERS: json.dumps(said if number else None)})


def begin_with_workers(database: Database, search: Registered, number: int) -> None:
    """Say that this process, a run, begins with so many local workers, whatever an earlier one was asked for."""
    describe(database, search, {ASKED: json.dumps(number)})
    say_local_workers(database, search, number)


def ask_for_workers(database: Database, search: Registered, number: int, before: int) -> None:
    """Ask the run of a search for so many local workers, `before` until now; the event log has it."""
    describe(database, search, {ASKED: json.dumps(number)})
    what = f"local workers: {before} before, {number} now"
    database.run(lambda connection: enter(connection, search.study_id, "workers", what), transaction=True)


def workers_asked_for(database: Database, search: Registered) -> int | None:
    """How many local workers the run of a search is asked to have, or None."""
    return database.run(lambda connection: asked_for(Snapshot(connection), search.study_id))
