"""`mendstore.queries` asks the database; pages format the answers."""

import re
from pathlib import Path

import pytest

import mendview

ROOT = Path(mendview.__file__).parent
SQL = re.compile(
    r"\bSELECT\b[^.]*\bFROM\b|\bINSERT\s+INTO\b|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\b|\bmend_[a-z_]+\b", re.DOTALL
)
DRIVERS = re.compile(r"^\s*(?:import|from) (?:sqlalchemy|psycopg2)\b", re.MULTILINE)
FILES = [path for path in sorted(ROOT.rglob("*")) if path.suffix in (".py", ".tpl")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_holds_no_sql(path):
    text = path.read_text(encoding="utf-8")
    assert SQL.search(text) is None
    assert DRIVERS.search(text) is None


def test_sql_would_be_found():
    assert SQL.search("SELECT trial_id\n  FROM trials")
    assert SQL.search('"UPDATE trials SET state"')
    assert SQL.search("count(*) of mend_workers")
    assert DRIVERS.search("import os\nfrom sqlalchemy import text")
