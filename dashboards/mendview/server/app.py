"""The application: Optuna Dashboard on its own paths, our pages on all others, access control for both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import optuna
from bottle import Bottle

import mendstore
from mendstore import Reader
from mendview.server.gate import Environ, Gate, Start, Wsgi
from mendview.server.optuna_part import OptunaPart
from mendview.server.routes import make_routes


def make_app(url: str, token: str | None = None, allow_edits: bool = False) -> Wsgi:
    """The whole dashboard over one database.

    Args:
        url: URL of the database, which need not exist yet.
        token: token that visitors need, or None.
        allow_edits: whether Optuna Dashboard may change studies.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    reader = Reader(url)
    return Gate(_Both(OptunaPart(reader, allow_edits), make_routes(reader)), token, allow_edits)


class _Both:
    def __init__(self, theirs: OptunaPart, ours: Bottle) -> None:
        self._theirs, self._ours = theirs, ours

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if not self._theirs.wants(path):
            return self._ours(environ, start)  # type: ignore[no-any-return]
        with contextlib.suppress(mendstore.StorageError):  # the answer below says so, and the reader has logged it
            if self._theirs.ready():
                return self._theirs(environ, start)
        if path.startswith("/dashboard"):  # our page says what is missing, and updates itself when it is there
            environ["PATH_INFO"] = "/mend/"
            return self._ours(environ, start)  # type: ignore[no-any-return]
        start("503 Service Unavailable", [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [b'{"reason": "the study database cannot be reached, or holds no study"}']
