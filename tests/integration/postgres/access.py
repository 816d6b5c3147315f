"""Ask a database something as some role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A cursor whose statements are committed one by one."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def ask(url: str, statement: str, *arguments: Any) -> Any:
    """The first column of the first row, or None where the statement gives no rows."""
    with connected(url) as cursor:
        cursor.execute(statement, arguments or None)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]
