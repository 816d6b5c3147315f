"""The embedded Postgres: `db start`, `db stop`."""

from __future__ import annotations

import mendstore
from mendsearch.cli.common import EMBEDDED, guarded


@guarded
def start() -> None:
    """Start it, if it does not run, and print its URL, as SQLAlchemy and stock Optuna take it."""
    print(mendstore.EmbeddedServer(EMBEDDED).start())


@guarded
def stop() -> None:
    """Stop it; what it holds stays."""
    print("stopped" if mendstore.EmbeddedServer(EMBEDDED).stop() else "was not running")
