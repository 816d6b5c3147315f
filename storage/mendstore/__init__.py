"""The study database, without torch: the embedded server, URLs, studies.

Everything here works in an environment that has no PyTorch, so that a dashboard or a database node stays small.
"""

from mendstore.errors import StorageError
from mendstore.server import EmbeddedServer
from mendstore.studies import StudySummary, exclusive, open_study, reachable, summaries
from mendstore.urls import normalised, without_password

__all__ = [
    "EmbeddedServer",
    "StorageError",
    "StudySummary",
    "exclusive",
    "normalised",
    "open_study",
    "reachable",
    "summaries",
    "without_password",
]
