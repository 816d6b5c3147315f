"""What every way of starting workers offers, and what several of them share."""

from __future__ import annotations

import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from sqlalchemy.engine import make_url

from mendsearch.errors import MendsearchError, UsageError
from mendstore.urls import STORAGE_VARIABLE

SECRET_VARIABLES = (STORAGE_VARIABLE, "PGPASSWORD")
SLUG_CHARACTERS = 30


class Backend(ABC):
    """Where workers run.

    An instance holds one request, checked when it is made: a `UsageError` comes before anything is started.
    """

    @abstractmethod
    def rendered(self) -> str:
        """What `launch` would start or submit, to be read by a person; no password is in it."""

    @abstractmethod
    def launch(self, say: Callable[[str], None]) -> int:
        """Start it. Returns an exit code: of the workers where they are waited for, else 0 once they are submitted.

        Args:
            say: takes each line of news.

        Raises:
            MendsearchError: it cannot be started.
        """


def slug(name: str) -> str:
    """Letters, digits and hyphens that stand for a search's name; equal for equal names, other for others."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
    return plain if plain == name else f"{plain or 'search'}-{sha256(name.encode()).hexdigest()[:6]}"


def require_remote(url: str, backend: str) -> None:
    """Refuse a database that other machines cannot reach.

    Raises:
        UsageError: the URL names no host, or a socket of this machine.
    """
    parsed = make_url(url)
    hosts = [parsed.host or "", *_words(parsed.query.get("host", ()))]
    if not any(hosts) or any(host.startswith("/") for host in hosts):
        raise UsageError(
            f"launch --backend {backend}: the storage URL names no host that other machines reach; "
            f"try postgresql://USER@HOST/DATABASE"
        )


def submitted(command: Sequence[str], text: str, environment: Mapping[str, str] | None = None) -> str:
    """Hand a text to a command of the cluster; returns what it printed.

    Raises:
        UsageError: the command is not on this machine.
        MendsearchError: it refused.
    """
    try:
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError(f"launch: got no command `{command[0]}` on this machine; try where it is installed") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise MendsearchError(f"launch: {command[0]} refused: {reason}")
    return done.stdout.strip()


def _words(value: str | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value
