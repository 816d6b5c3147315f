"""What a failure of the database means, and what to do about it.

Errors of a statement carry an SQLSTATE. Those of a connection do not: libpq gives their text alone, so they are known
by its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from mendstore.commands import command


@dataclass(frozen=True)
class Kind:
    """A kind of failure.

    Attributes:
        codes: SQLSTATEs, or their first two characters.
        words: what the text of a failed connection holds.
        remedy: what to do.
    """

    codes: tuple[str, ...]
    words: str
    remedy: str


PASSWORD = "put it into ~/.pgpass or PGPASSWORD, or into the URL with @ / ? : % written as %40 %2F %3F %3A %25"
AGAIN = "run the same command again"
KINDS = (
    Kind(("28P01",), "password authentication failed|no password supplied|password retrieved from file", PASSWORD),
    Kind(("3D000",), 'database ".*" does not exist', "create it: createdb --encoding UTF8 --template template0 NAME"),
    Kind(
        ("28000",),
        'role ".*" does not exist|is not permitted to log in|authentication failed for user|no pg_hba.conf entry',
        "correct the user in the URL, or let it in at the server (CREATE ROLE, pg_hba.conf; storage/postgres/roles.sql "
        "makes the roles); a server that insists on TLS needs ?sslmode=require",
    ),
    Kind((), "does not support SSL", "leave sslmode out of the URL, or set `ssl = on` at the server"),
    Kind((), "does not match host name", "give the host in the URL as the certificate names it"),
    Kind(
        (),
        "root certificate|certificate verify failed|SSL error|certificate",
        "name the certificate of the server's authority by sslrootcert=PATH in the URL, or correct sslmode",
    ),
    Kind(
        ("53300",),
        "too many (clients|connections)|remaining connection slots|no more connections allowed",
        f"{AGAIN} when other processes have ended, raise max_connections, or put PgBouncer before it",
    ),
    Kind(
        ("25006",),
        "cannot execute .* in a read-only transaction|session is read-only",
        "give the URL of a role that may write, and of the primary server (or unset default_transaction_read_only); "
        "storage/postgres/README.md lists what each role can do",
    ),
    Kind(
        ("42501",),
        "permission denied",
        "give the URL of a role with this right; storage/postgres/README.md lists what each role can do",
    ),
    Kind(("53100",), "No space left on device", f"free space on the disk of the server, then {AGAIN}"),
    Kind(("53200",), "out of memory", f"free memory at the server, then {AGAIN}"),
    Kind(("57014",), "statement timeout", f"{AGAIN} when the server is less busy"),
    Kind(("42P01", "42703", "42883"), "", "bring its tables up to date: {upgrade}"),
    Kind(
        ("57P", "08"),
        "Connection refused|No such file or directory|could not translate host name|timeout expired|starting up|"
        "shutting down|closed the connection|could not connect|No route to host|Network is unreachable",
        f"see that it runs, and that host and port are right, then {AGAIN}",
    ),
)


def is_failure(error: BaseException) -> bool:
    """Whether the database, or the connection to it, failed."""
    return isinstance(error, SQLAlchemyError) or _of_optuna(error)


def cause_of(error: BaseException) -> BaseException:
    """The failure itself, where Optuna has wrapped it."""
    return error.__cause__ if _of_optuna(error) and error.__cause__ else error


def reason_of(error: BaseException | None) -> str:
    """The first line of what the server or the driver said."""
    return str(_original(error)).strip().split("\n")[0].removeprefix("FATAL:  ")


def remedy_of(error: BaseException | None, url: str) -> str:
    """What to do about a failure of the database at `url`."""
    original = _original(error)
    code, text = getattr(original, "pgcode", None) or "", str(original)
    if code:
        known = (kind.remedy for kind in KINDS if any(code.startswith(given) for given in kind.codes))
        return next(known, AGAIN).replace("{upgrade}", command("db upgrade", url))
    found = (kind.remedy for kind in KINDS if kind.words and re.search(kind.words, text))
    return next(found, f"see that it runs, then {AGAIN}")


def _original(error: BaseException | None) -> object:
    cause = None if error is None else cause_of(error)
    return getattr(cause, "orig", None) or cause


def _of_optuna(error: BaseException) -> bool:
    """Whether it is what Optuna wraps failures in; known by its name, since Optuna takes a second to import."""
    return type(error).__module__ == "optuna.exceptions" and type(error).__name__ == "StorageInternalError"
