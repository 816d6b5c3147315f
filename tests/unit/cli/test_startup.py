"""A command that only reads starts at once: what takes long to import is imported by those that need it."""

import subprocess
import sys

SLOW = ("torch", "optuna", "alembic", "fsspec", "numpy", "plotly", "optuna_dashboard")
SCRIPT = f"""
import sys
import mendsearch.cli
print(*(name for name in {SLOW!r} if name in sys.modules))
"""


def test_nothing_slow_is_imported_before_a_verb_needs_it():
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""
