"""The study database, without torch: the embedded server, URLs, studies, queries, and the queue of a fleet.

A worker finishes the candidate that it claims, fails it, or is considered dead and the candidate waits again; each
result counts once. `queue.py` states these promises, and `migrations/versions/0002_functions.sql` keeps them: each is
one SQL function and one transaction. `tasks.py` does the same for what comes after the trials, with
`0003_functions.sql`; `measurements.py` and `devices.py` do for networks that a device measures, with
`0004_functions.sql`. `heartbeat.py` renews leases. `spool.py` keeps results on disk while the database
cannot be reached. `queries/` answers every question to a database, and `records/` are the JSON values that a search
stores for its readers.

Everything here works without PyTorch, so that a dashboard or a database node stays small. The names that need Optuna,
Alembic or fsspec are imported when they are first used: these take a second, which `status` would spend for nothing.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from mendstore.commands import EMBEDDED, command, device_command, launch_command
from mendstore.database import Database, failures_named
from mendstore.errors import SearchNameError, StorageError
from mendstore.heartbeat import Heartbeat, beating, working
from mendstore.processes import surely_dead, this_process
from mendstore.queries.devices import DeviceWorker
from mendstore.queries.ladder import Ladder
from mendstore.queries.registered import Registered
from mendstore.queries.studies import StudySummary
from mendstore.queue import Claim, Queue, Result
from mendstore.reading import Reader, Snapshot
from mendstore.registration import register
from mendstore.searches import (
    alike,
    describe,
    described,
    end_trials,
    enlarge,
    find,
    ladder,
    name_blobs,
    name_store,
    progress,
    remove,
    stop,
    store_of,
    try_again,
    under_way_s,
)
from mendstore.server import EmbeddedServer
from mendstore.studies import summaries
from mendstore.urls import STORAGE_VARIABLE, normalised, without_password
from mendstore.workers import (
    alive,
    ask_for_workers,
    begin_with_workers,
    local_workers,
    open_workers,
    say_local_workers,
    workers_asked_for,
)

if TYPE_CHECKING:
    from mendstore.blobs import Blobs, Collected, collect
    from mendstore.devices import Device, Measurement
    from mendstore.measurements import Asked, Measurements
    from mendstore.schema import check_version, upgrade
    from mendstore.storage import MendStorage
    from mendstore.tasks import ChosenFinalist, Kind, Task, Tasks, Tuned

_HOMES = {
    "Asked": "mendstore.measurements",
    "Blobs": "mendstore.blobs",
    "ChosenFinalist": "mendstore.tasks",
    "Collected": "mendstore.blobs",
    "Device": "mendstore.devices",
    "Kind": "mendstore.tasks",
    "Measurement": "mendstore.devices",
    "Measurements": "mendstore.measurements",
    "MendStorage": "mendstore.storage",
    "Task": "mendstore.tasks",
    "Tasks": "mendstore.tasks",
    "Tuned": "mendstore.tasks",
    "check_version": "mendstore.schema",
    "collect": "mendstore.blobs",
    "upgrade": "mendstore.schema",
}

# a server says where its log goes; a command that prints its error would print it twice
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "EMBEDDED",
    "STORAGE_VARIABLE",
    "Asked",
    "Blobs",
    "ChosenFinalist",
    "Claim",
    "Collected",
    "Database",
    "Device",
    "DeviceWorker",
    "EmbeddedServer",
    "Heartbeat",
    "Kind",
    "Ladder",
    "Measurement",
    "Measurements",
    "MendStorage",
    "Queue",
    "Reader",
    "Registered",
    "Result",
    "SearchNameError",
    "Snapshot",
    "StorageError",
    "StudySummary",
    "Task",
    "Tasks",
    "Tuned",
    "alike",
    "alive",
    "ask_for_workers",
    "beating",
    "begin_with_workers",
    "check_version",
    "collect",
    "command",
    "describe",
    "described",
    "device_command",
    "end_trials",
    "enlarge",
    "failures_named",
    "find",
    "ladder",
    "launch_command",
    "local_workers",
    "name_blobs",
    "name_store",
    "normalised",
    "open_workers",
    "progress",
    "register",
    "remove",
    "say_local_workers",
    "stop",
    "store_of",
    "summaries",
    "surely_dead",
    "this_process",
    "try_again",
    "under_way_s",
    "upgrade",
    "without_password",
    "workers_asked_for",
    "working",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `mendstore` has no attribute `{name}`")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
