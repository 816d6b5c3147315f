"""The study database, without torch: the embedded server, URLs, studies, and the queue of a fleet.

A worker that is given a candidate finishes it, fails it, or is found dead and the candidate waits again; each result
counts once. `queue.py` says what is promised, `migrations/versions/0001_functions.sql` how it is kept: every promise is
one SQL function, one transaction. `keeper.py` renews leases, `spool.py` keeps results while the database is away.

Everything here works in an environment that has no PyTorch, so that a dashboard or a database node stays small.
"""

from mendstore.blobs import Blobs, Collected, collect
from mendstore.database import Database, check_version, failures_named, upgrade
from mendstore.errors import SearchNameError, StorageError
from mendstore.keeper import Keeper, working
from mendstore.processes import surely_dead, this_process
from mendstore.queue import Claim, Queue, Result
from mendstore.searches import (
    Registered,
    describe,
    described,
    enlarge,
    find,
    name_blobs,
    progress,
    register,
    remove,
    stop,
)
from mendstore.server import EmbeddedServer
from mendstore.storage import MendStorage
from mendstore.studies import StudySummary, summaries
from mendstore.urls import STORAGE_VARIABLE, normalised, without_password
from mendstore.workers import alive, open_workers

__all__ = [
    "STORAGE_VARIABLE",
    "Blobs",
    "Claim",
    "Collected",
    "Database",
    "EmbeddedServer",
    "Keeper",
    "MendStorage",
    "Queue",
    "Registered",
    "Result",
    "SearchNameError",
    "StorageError",
    "StudySummary",
    "alive",
    "check_version",
    "collect",
    "describe",
    "described",
    "enlarge",
    "failures_named",
    "find",
    "name_blobs",
    "normalised",
    "open_workers",
    "progress",
    "register",
    "remove",
    "stop",
    "summaries",
    "surely_dead",
    "this_process",
    "upgrade",
    "without_password",
    "working",
]
