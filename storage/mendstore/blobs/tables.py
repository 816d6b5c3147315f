"""The tables of blobs, and decisions about one blob under its lock."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from mendstore.blobs import objects
from mendstore.database import Database

DIGEST = re.compile(r"[0-9a-f]{64}")

BLOBS = sa.table(
    "mend_blobs",
    *(sa.column(name) for name in ("digest", "bytes", "place")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
CHUNKS = sa.table("mend_chunks", sa.column("digest"), sa.column("number"), sa.column("content", sa.LargeBinary))
SEARCHES = sa.table("mend_searches", sa.column("blobs", JSONB))
MEASUREMENTS = sa.table(
    "mend_measurements",
    *(sa.column(name) for name in ("name", "state")),
    sa.column("blobs", JSONB),
    sa.column("wanted_at", sa.DateTime(timezone=True)),
)
TASKS = sa.table("mend_tasks", *(sa.column(name) for name in ("task_id", "checkpoint", "weights", "spent")))


def lock(connection: sa.Connection, digest: str) -> None:
    """Lock a blob until the transaction ends."""
    key = sa.func.hashtextextended(f"mendsearch/blob/{digest}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def is_kept(connection: sa.Connection, digest: str, size: int, place: str | None) -> bool:
    """Whether the content is stored, where its row says or else at `place`; if so, its row is created or renewed.

    Args:
        connection: connection within a transaction, which then holds the lock of the blob.
        digest: hexadecimal sha256 of the content.
        size: size of the content in bytes.
        place: URL of an object that no row may name yet.
    """
    lock(connection, digest)
    touch = sa.update(BLOBS).where(BLOBS.c.digest == digest).values(created_at=sa.func.clock_timestamp())
    row = connection.execute(touch.returning(BLOBS.c.place)).one_or_none()
    if row is not None:
        found = _bytes_inside(connection, digest) if row.place is None else objects.size(row.place)
        if found == size:
            return True
    if place is None or objects.size(place) != size:
        return False
    statement = insert(BLOBS).values(digest=digest, bytes=size, place=place)
    connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_={"place": place}))
    return True


def own_folder(database: Database) -> str:
    """A name that no other database has: the identifier of its server, and its own within the server."""
    server = sa.func.pg_control_system().table_valued("system_identifier")
    databases = sa.table("pg_database", sa.column("oid"), sa.column("datname"))
    this = sa.join(server, databases, databases.c.datname == sa.func.current_database())
    statement = sa.select(server.c.system_identifier, databases.c.oid).select_from(this)
    row = database.run(lambda connection: connection.execute(statement).one())
    return f"{row.system_identifier}-{row.oid}"


def _bytes_inside(connection: sa.Connection, digest: str) -> int:
    length = sa.func.coalesce(sa.func.sum(sa.func.octet_length(CHUNKS.c.content)), 0)
    return int(connection.execute(sa.select(length).where(CHUNKS.c.digest == digest)).scalar_one())
