"""Optuna Dashboard behind our access control, on a read-only connection unless edits are allowed."""

from __future__ import annotations

import ctypes
import gzip
import sys
import threading
from collections.abc import Iterable
from typing import Any

import optuna_dashboard
from optuna.storages import BaseStorage

from mendstore import Database, MendStorage, Reader
from mendview.server.gate import Environ, Start, Wsgi

PATHS = ("/dashboard", "/api", "/static", "/csv", "/artifacts", "/favicon.ico", "/incompatible-rdb-schema")
LINK = b'<script defer src="/mend/static/link.js"></script></head>'
PLAIN_BYTES = 2048
LARGE_BYTES = 1_000_000


class OptunaPart:
    """Optuna Dashboard, created at the first request once the tables of stock Optuna exist.

    Args:
        reader: reader of the database.
        allow_edits: whether its connection can write.
    """

    def __init__(self, reader: Reader, allow_edits: bool) -> None:
        self._reader, self._edits = reader, allow_edits
        self._app: Wsgi | None = None
        self._lock = threading.Lock()

    def wants(self, path: str) -> bool:
        """Whether a path belongs to Optuna Dashboard."""
        return any(path == start or path.startswith(start + "/") for start in PATHS)

    def ready(self) -> bool:
        """Whether there is anything to show; the first time, Optuna Dashboard is created.

        Raises:
            mendstore.StorageError: the database cannot be reached.
        """
        there = self._reader.read(lambda snapshot: snapshot.optuna)
        with self._lock:
            if self._app is None and there:
                self._app = optuna_dashboard.wsgi(self._storage())
        return there

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Its answer, with a link to our pages, and compressed, since it sends whole studies."""
        assert self._app is not None
        begun: dict[str, Any] = {}

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            begun.update(status=status, headers=headers)
            return lambda data: None

        body = self._app(environ, started)
        kind = dict(begun["headers"]).get("Content-Type", "")
        page, data = kind.startswith("text/html"), kind.startswith(("application/json", "text/csv"))
        if not page and not data:
            start(begun["status"], begun["headers"])
            return body
        content = b"".join(body)
        getattr(body, "close", lambda: None)()
        del body
        if len(content) > LARGE_BYTES:
            _trim()
        headers = [
            (name, value)
            for name, value in begun["headers"]
            if name.lower() not in ("content-length", "etag", "last-modified")
        ]
        if page and environ.get("REQUEST_METHOD") == "GET":
            content = content.replace(b"</head>", LINK, 1)
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "") and len(content) > PLAIN_BYTES:
            content = gzip.compress(content, compresslevel=1)
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        start(begun["status"], [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _storage(self) -> BaseStorage:
        """Our storage, which reads finished trials once; stock Optuna's takes several times as long."""
        storage = MendStorage(Database(self._reader.url))
        if not self._edits:  # each transaction is READ ONLY, also through a transaction pooler
            storage._stock.engine.update_execution_options(postgresql_readonly=True)
        return storage


def _trim() -> None:
    """Return memory to the system after a large answer, which glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
