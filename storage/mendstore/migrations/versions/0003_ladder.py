"""Fine-tunings are leased as trials are: tasks, finalists, and the functions that promote them."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"

FILES = ("0003_ladder.sql", "0003_functions.sql")


def upgrade() -> None:
    """Tables beside those that are there; workers of the version before go on, and end when the trials are done."""
    for name in FILES:
        op.get_bind().exec_driver_sql((Path(__file__).parent / name).read_text(encoding="ascii"))
