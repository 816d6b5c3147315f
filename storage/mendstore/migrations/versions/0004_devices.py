"""Devices measure networks: device workers, measurements, and the functions that hand them out."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

FILES = ("0004_devices.sql", "0004_functions.sql")


def upgrade() -> None:
    """Tables beside those that are there; workers of the version before do not know of them, and need not."""
    for name in FILES:
        op.get_bind().exec_driver_sql((Path(__file__).parent / name).read_text(encoding="ascii"))
