"""The study database itself: `db start`, `db stop`, `db upgrade`."""

from __future__ import annotations

import mendstore
from mendsearch.cli.common import EMBEDDED, guarded, storage_of
from mendsearch.cli.target import Url


@guarded
def start() -> None:
    """Start it, if it does not run, and print its URL, as SQLAlchemy and stock Optuna take it."""
    print(mendstore.EmbeddedServer(EMBEDDED).start())


@guarded
def stop() -> None:
    """Stop it; what it holds stays."""
    print("stopped" if mendstore.EmbeddedServer(EMBEDDED).stop() else "was not running")


@guarded
def upgrade(url: Url = None) -> None:
    """Make the tables, or bring them up to date; as the role that owns them."""
    print(f"schema {mendstore.upgrade(mendstore.normalised(storage_of(url)))}")
