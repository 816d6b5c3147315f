"""All functions anew, so that databases of any commit before the first release have the same ones."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """No table changes; workers that run go on."""
    statements = Path(__file__).with_name("0002_functions.sql").read_text(encoding="ascii")
    op.get_bind().exec_driver_sql(statements)
