"""Access to a study database: one connection for each process, and retries during an outage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
import sqlalchemy as sa
import tenacity
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from mendstore.errors import StorageError
from mendstore.failures import cause_of, is_failure, reason_of, remedy_of
from mendstore.urls import normalised, without_password

CONNECT_TIMEOUT_S = 5
SILENCE_S = 10
"""Seconds to wait for a peer that does not answer; at most a third of a lease."""
ENCODING = {"client_encoding": "utf8"}
"""Option of every connection: by default a client speaks the encoding of the database, or of PGCLIENTENCODING."""

T = TypeVar("T")


class Database:
    """A study database, through one connection that all threads of the process share.

    When the database cannot be reached, a call is repeated with growing pauses for `outage_s` seconds. So each call
    must be safe to repeat: it may have succeeded and its answer may have been lost.

    Args:
        url: URL of a Postgres database.
        outage_s: seconds that the database may be unreachable; with 0 an outage raises at once.
        stop_event: event that ends the waiting, so that the failure is raised.
        on_outage: called with the reason, without a password, when an outage begins.
    """

    def __init__(
        self,
        url: str,
        outage_s: float = 0,
        stop_event: threading.Event | None = None,
        on_outage: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.url, self._outage_s, self._on_outage = normalised(url), outage_s, on_outage
        self._stop_event = stop_event or threading.Event()
        self.engine = sa.create_engine(
            self.url,
            pool_size=1,
            max_overflow=0,
            pool_timeout=3 * SILENCE_S,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "keepalives_idle": SILENCE_S // 2,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 1000 * SILENCE_S,
                "application_name": "mendsearch",
                **ENCODING,
            },
        )
        sa.event.listen(self.engine, "reset", _without_autocommit)

    def call(
        self, function: str, *arguments: Any, patient: bool = True, on_outage: Callable[[], None] = lambda: None
    ) -> Any:
        """Call one of our SQL functions, in one round trip.

        Args:
            function: name of the function.
            arguments: arguments in order; lists and dicts of JSON values are passed as `jsonb`.
            patient: whether to wait during an outage.
            on_outage: called once, before the first wait.

        Returns:
            the function's value.

        Raises:
            StorageError: the database could not be reached.
        """
        bound = [sa.bindparam(None, value, JSONB if isinstance(value, list | dict) else None) for value in arguments]
        statement = sa.select(getattr(sa.func, function)(*bound))
        return self.run(lambda connection: connection.execute(statement).scalar(), patient=patient, on_outage=on_outage)

    def run(
        self,
        work: Callable[[sa.Connection], T],
        *,
        transaction: bool = False,
        patient: bool = True,
        on_outage: Callable[[], None] = lambda: None,
    ) -> T:
        """The value of `work` on a connection; `work` is repeated if the connection is lost.

        Args:
            work: function of a connection that is safe to repeat.
            transaction: whether to run it as one transaction; otherwise each statement commits by itself.
            patient: whether to wait during an outage.
            on_outage: called once, before the first wait.

        Raises:
            StorageError: the database could not be reached, or refuses.
        """

        def once() -> T:
            if transaction:
                with self.engine.begin() as connection:
                    return work(connection)
            with self.engine.connect() as connection:
                # one statement is one transaction and one round trip. This attribute changes the client alone, while
                # an isolation level of SQLAlchemy's costs two round trips more, and its pool loses the connection for
                # good if the server dies meanwhile
                connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
                return work(connection)

        def announce(state: tenacity.RetryCallState) -> None:
            if state.attempt_number == 1:
                assert state.outcome is not None
                on_outage()
                self._on_outage(reason_of(state.outcome.exception()))

        limit = tenacity.stop_after_delay(self._outage_s if patient else 0)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_outage),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=5, min=0.05),
            stop=limit | tenacity.stop_when_event_set(self._stop_event),
            sleep=tenacity.sleep_using_event(self._stop_event),
            before_sleep=announce,
            reraise=True,
        )
        with failures_named(self.url):
            return retrying(once)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self.engine.dispose()


def _without_autocommit(connection: Any, *_: object) -> None:
    """Reset a connection before its next use: stock Optuna shares it, and needs transactions."""
    if not connection.closed:
        connection.autocommit = False


def is_outage(error: BaseException) -> bool:
    """Whether the statement may succeed later: the server is unreachable, starting, stopping or full."""
    error = cause_of(error)
    if not isinstance(error, DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)
    original = error.orig
    return (
        error.connection_invalidated
        or isinstance(original, psycopg2.OperationalError | psycopg2.InterfaceError)
        or type(original) is psycopg2.DatabaseError
        or getattr(original, "pgcode", None) == "25006"  # read only: a standby that is about to take over
    )


@contextmanager
def failures_named(url: str) -> Iterator[None]:
    """Within the scope, a failure of the database is a `StorageError` whose message holds no password."""
    try:
        yield
    except Exception as error:
        if not is_failure(error):
            raise
        raise StorageError(
            f"study database {without_password(url)} failed: {reason_of(error)}; {remedy_of(error, url)}"
        ) from error


def tables_of(connection: sa.Connection, *names: str) -> set[str]:
    """Those of the tables that exist."""
    query = "SELECT name FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NOT NULL"
    return set(connection.execute(sa.text(query), {"names": list(names)}).scalars())
