"""The way to what is shown: a consistent, read-only look at the database, that ends in time or says that it is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mendstore import StorageError, failures_named, normalised

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 15_000
CONNECTIONS = 4
"""Of one process that shows things; a fleet needs the others."""

T = TypeVar("T")
logger = logging.getLogger(__name__)
Row = dict[str, Any]


class Reader:
    """Looks at a study database, and cannot change it.

    Args:
        url: of a Postgres database; any role that may read its tables will do.
    """

    def __init__(self, url: str) -> None:
        self.url = normalised(url)
        self._away = False
        self._engine = sa.create_engine(
            self.url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=STATEMENT_TIMEOUT_MS / 1000,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "mendview"},
            execution_options={"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
        )

    def look(self, question: Callable[[Look], T]) -> T:
        """What `question` finds, all of it as of one moment.

        Raises:
            mendstore.StorageError: the database cannot be reached, refuses, or takes too long.
        """
        try:
            with failures_named(self.url):
                found = self._twice(question)
        except StorageError as error:
            if not self._away:
                logger.warning("%s", error)
            self._away = True
            raise
        if self._away:
            logger.warning("the study database is back")
        self._away = False
        return found

    def _twice(self, question: Callable[[Look], T]) -> T:
        try:
            return self._once(question)
        except DBAPIError as error:  # a connection of the pool that died meanwhile says nothing about the database
            if not error.connection_invalidated:
                raise
        return self._once(question)

    def _once(self, question: Callable[[Look], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            connection.execute(sa.select(sa.func.set_config("statement_timeout", str(STATEMENT_TIMEOUT_MS), True)))
            return question(Look(connection))

    def close(self) -> None:
        """Close the connections; the next look opens others."""
        self._engine.dispose()


class Look:
    """One moment of the database.

    Args:
        connection: within a transaction.

    Attributes:
        optuna: the tables of stock Optuna are there.
        fleet: ours are there too.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        there = self.one(
            "SELECT to_regclass('studies') IS NOT NULL AS optuna, to_regclass('mend_searches') IS NOT NULL AS fleet"
        )
        self.optuna, self.fleet = bool(there["optuna"]), bool(there["fleet"])

    def all(self, query: str, **values: Any) -> list[Row]:
        """Every row of a query with bound values."""
        return [dict(row) for row in self._connection.execute(sa.text(query), values).mappings()]

    def first(self, query: str, **values: Any) -> Row | None:
        """The first row, or None."""
        row = self._connection.execute(sa.text(query), values).mappings().first()
        return None if row is None else dict(row)

    def one(self, query: str, **values: Any) -> Row:
        """The only row."""
        return dict(self._connection.execute(sa.text(query), values).mappings().one())
