"""The base class of backends, and functions that several of them share."""

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
    """A way to run workers.

    An instance holds one request. It is checked on creation: a `UsageError` is raised before anything is started.
    """

    @abstractmethod
    def rendered(self) -> str:
        """What `launch` would start or submit, as text for people; it holds no password."""

    @abstractmethod
    def launch(self, say: Callable[[str], None]) -> int:
        """Start or submit the workers.

        Args:
            say: function that takes each line of progress.

        Returns:
            The exit code of the workers, if the backend waits for them; else 0 once they are submitted.

        Raises:
            MendsearchError: they cannot be started.
        """


def slug(name: str) -> str:
    """A form of a search's name that has only letters, digits and hyphens; different for different names."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
    return plain if plain == name else f"{plain or 'search'}-{sha256(name.encode()).hexdigest()[:6]}"


def require_remote(url: str, backend: str) -> None:
    """Refuse a database that other machines cannot reach.

    Raises:
        UsageError: the URL names no host, or a socket on this machine.
    """
    parsed = make_url(url)
    hosts = [parsed.host or "", *_words(parsed.query.get("host", ()))]
    if not any(hosts) or any(host.startswith("/") for host in hosts):
        raise UsageError(
            f"launch --backend {backend}: the storage URL names no host that other machines can reach; "
            f"try postgresql://USER@HOST/DATABASE"
        )


def submitted(command: Sequence[str], text: str, environment: Mapping[str, str] | None = None) -> str:
    """Pass a text to a command of the cluster, and return its output.

    Raises:
        UsageError: the command is not installed.
        MendsearchError: the command failed.
    """
    try:
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError(f"launch: command `{command[0]}` is not on this machine; try where it is installed") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise MendsearchError(f"launch: {command[0]} refused: {reason}")
    return done.stdout.strip()


def _words(value: str | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value
