"""Searches, workers, items with leases, events and blobs, and the functions that keep their promises."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

FILES = ("0001_fleet.sql", "0001_functions.sql")


def upgrade() -> None:
    """Stock Optuna's tables are there already."""
    for name in FILES:
        op.get_bind().exec_driver_sql((Path(__file__).parent / name).read_text(encoding="utf-8"))
