"""The study database: `db start`, `db stop`, `db upgrade`."""

from __future__ import annotations

import mendstore
from mendsearch.cli.common import guarded, storage_of
from mendsearch.cli.target import Url


@guarded
def start() -> None:
    """Start the embedded database if it does not run, and print its URL for SQLAlchemy and stock Optuna."""
    print(mendstore.EmbeddedServer(mendstore.EMBEDDED).start())


@guarded
def stop() -> None:
    """Stop the embedded database; its data stays."""
    print("stopped" if mendstore.EmbeddedServer(mendstore.EMBEDDED).stop() else "was not running")


@guarded
def upgrade(url: Url = None) -> None:
    """Create the tables, or migrate them to this version. Run it as the role that owns them."""
    print(f"schema {mendstore.upgrade(mendstore.normalised(storage_of(url)))}")
