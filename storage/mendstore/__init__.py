"""The study database, without torch: the embedded server, URLs, studies, and the queue of a fleet.

A worker that is given a candidate finishes it, fails it, or is found dead and the candidate waits again; each result
counts once. `queue.py` says what is promised, `migrations/versions/0002_functions.sql` how it is kept: every promise is
one SQL function, one transaction. `heartbeat.py` renews leases, `spool.py` keeps results while the database is away.

Everything here works in an environment that has no PyTorch, so that a dashboard or a database node stays small.
"""

import logging

from mendstore.blobs import Blobs, Collected, collect
from mendstore.database import Database, check_version, failures_named, upgrade
from mendstore.errors import SearchNameError, StorageError
from mendstore.heartbeat import Heartbeat, working
from mendstore.processes import surely_dead, this_process
from mendstore.queries.registered import Registered
from mendstore.queries.studies import StudySummary
from mendstore.queue import Claim, Queue, Result
from mendstore.reading import Reader, Snapshot
from mendstore.searches import (
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
from mendstore.studies import summaries
from mendstore.urls import normalised, without_password
from mendstore.workers import alive, open_workers

# a server says where its log goes; a command that prints its error would print it twice
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Blobs",
    "Claim",
    "Collected",
    "Database",
    "EmbeddedServer",
    "Heartbeat",
    "MendStorage",
    "Queue",
    "Reader",
    "Registered",
    "Result",
    "SearchNameError",
    "Snapshot",
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
