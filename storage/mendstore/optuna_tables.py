"""Whether the tables of stock Optuna are those of the version that is installed.

Optuna itself takes a second to import, so that a command that only reads does without it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from mendstore.database import tables_of
from mendstore.errors import StorageError
from mendstore.urls import without_password

VERSION_TABLE = "alembic_version"
REVISION = re.compile(r"""^revision = ["'](.+)["']\ndown_revision = (?:None|["'](.+)["'])$""", re.MULTILINE)
"""The two lines of a migration of Optuna's that say which one it is, and which comes before it."""


def refuse_other_optuna(connection: sa.Connection) -> str | None:
    """Check that the tables of stock Optuna, if there are any, are those of the version that is installed.

    Returns:
        their version; None while there are none, or Optuna is still creating them. Optuna writes it last, in a
        transaction of its own, and completes tables that it finds without one.

    Raises:
        StorageError: they are older or newer; the message says what to do.
    """
    known, found = optuna_versions(), _version(connection)
    if found is None or found == known[0]:
        return found
    url = without_password(connection.engine.url.render_as_string(hide_password=False))
    if found in known:
        todo = f"bring them up to date, as the role that owns them: optuna storage upgrade --storage '{url}'"
    else:
        todo = "upgrade Optuna on this machine"
    raise StorageError(
        f"study database {url} has tables of another Optuna: got their version {found}, expected {known[0]} "
        f"of Optuna {version('optuna')}; {todo}"
    )


@lru_cache
def optuna_versions() -> tuple[str, ...]:
    """Versions of stock Optuna's tables that the installed Optuna knows, the newest first."""
    spec = find_spec("optuna")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "storages" / "_rdb" / "alembic" / "versions"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    after = {earlier or None: found for text in texts for found, earlier in REVISION.findall(text)}
    versions: list[str] = []
    while (found := after.get(versions[-1] if versions else None)) is not None:
        versions.append(found)
    return tuple(reversed(versions))


def _version(connection: sa.Connection) -> str | None:
    if not tables_of(connection, VERSION_TABLE):
        return None
    query = sa.text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
    return connection.execute(query).scalar()
