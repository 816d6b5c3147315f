"""Read-only access to a study database: each read is one consistent snapshot, and ends in time or with an error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mendstore.database import CONNECT_TIMEOUT_S, ENCODING, failures_named, tables_of
from mendstore.errors import StorageError
from mendstore.optuna_tables import refuse_other_optuna
from mendstore.urls import normalised

STATEMENT_TIMEOUT_MS = 15_000
SETTINGS = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "work_mem": "32MB"}
"""Of every read: in time or not at all; 100,000 trials are sorted in memory."""
CONNECTIONS = 4
"""Connections of one reading process at the most; the fleet needs the others."""

T = TypeVar("T")
logger = logging.getLogger(__name__)
Row = dict[str, Any]


class Reader:
    """Reads a study database and cannot change it.

    Args:
        url: URL of a Postgres database; any role that may read its tables will do.
    """

    def __init__(self, url: str) -> None:
        self.url = normalised(url)
        self._unreachable = False
        self._engine = sa.create_engine(
            self.url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=STATEMENT_TIMEOUT_MS / 1000,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "mendview", **ENCODING},
            execution_options={"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
        )

    def read(self, question: Callable[[Snapshot], T]) -> T:
        """The answer of `question`, all of it from one moment.

        Args:
            question: calls functions of `mendstore.queries`.

        Raises:
            StorageError: the database cannot be reached, refuses, or takes too long.
        """
        try:
            with failures_named(self.url):
                answer = self._with_one_retry(question)
        except StorageError as error:
            if not self._unreachable:
                logger.warning("%s", error)
            self._unreachable = True
            raise
        if self._unreachable:
            logger.warning("the study database is back")
        self._unreachable = False
        return answer

    def _with_one_retry(self, question: Callable[[Snapshot], T]) -> T:
        try:
            return self._once(question)
        except DBAPIError as error:  # a pooled connection that died meanwhile says nothing about the database
            if not error.connection_invalidated:
                raise
        return self._once(question)

    def _once(self, question: Callable[[Snapshot], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            connection.execute(sa.select(*(sa.func.set_config(key, value, True) for key, value in SETTINGS.items())))
            return question(Snapshot(connection))

    def close(self) -> None:
        """Close the connections; the next read opens others."""
        self._engine.dispose()


class Snapshot:
    """The database as the functions of `mendstore.queries` see it.

    Args:
        connection: a connection; within a `REPEATABLE READ` transaction all answers are from one moment.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def url(self) -> str:
        """URL of the database, with its password."""
        return self._connection.engine.url.render_as_string(hide_password=False)

    @cached_property
    def optuna(self) -> bool:
        """Whether the tables of stock Optuna exist, all of them.

        Raises:
            StorageError: they are those of another version of Optuna.
        """
        return refuse_other_optuna(self._connection) is not None

    @cached_property
    def fleet(self) -> bool:
        """Whether the tables of searches, workers and items exist."""
        return "mend_searches" in tables_of(self._connection, "mend_searches")

    @cached_property
    def ladder(self) -> bool:
        """Whether the tables of the last rungs exist."""
        return bool(self.one("SELECT to_regclass('mend_tasks') IS NOT NULL AS found")["found"])

    @cached_property
    def devices(self) -> bool:
        """Whether the tables of device workers and measurements exist."""
        return "mend_devices" in tables_of(self._connection, "mend_devices")

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
