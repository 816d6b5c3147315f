"""Removing blobs that no search, task or measurement names, and what interrupted uploads left in a store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from mendstore.blobs import objects
from mendstore.blobs.tables import BLOBS, DIGEST, MEASUREMENTS, SEARCHES, TASKS, lock, own_folder
from mendstore.database import Database

GRACE_S = 3600.0

OBJECT_OR_LEFTOVER = re.compile(rf"({DIGEST.pattern})(\.[0-9a-f]+{re.escape(objects.PARTIAL)})?")


@dataclass(frozen=True)
class Collected:
    """What was removed.

    Attributes:
        blobs: number of blobs.
        leftovers: number of files that interrupted uploads left behind.
        bytes: size of both together.
    """

    blobs: int
    leftovers: int
    bytes: int


def collect(database: Database, *, store: str | None = None, grace_s: float = GRACE_S) -> Collected:
    """Remove blobs and leftovers that no search names and that are older than `grace_s` seconds.

    Args:
        database: study database with the current schema.
        store: URL of a store to search for leftovers, in addition to those that hold blobs of this database.
        grace_s: age in seconds; longer than any upload plus the time until a search names it.

    Raises:
        StorageError: the database or the store cannot be used; what was removed before stays removed.
    """
    own = own_folder(database)
    folders = _folders(database, own, store)
    freed = [_discard(database, digest, grace_s, own) for digest in _candidates(database, grace_s)]
    left = [_discard_leftover(database, file, grace_s) for folder in sorted(folders) for file in objects.files(folder)]
    blobs, leftovers = ([size for size in sizes if size is not None] for sizes in (freed, left))
    return Collected(len(blobs), len(leftovers), sum(blobs) + sum(leftovers))


def forget(database: Database, task_id: int, *, patient: bool = True) -> None:
    """Remove the checkpoint that a later one, or the result, of a fine-tuning has replaced.

    Args:
        database: study database with the current schema.
        task_id: id of the fine-tuning.
        patient: whether to wait during an outage.

    Raises:
        StorageError: the database or the store cannot be used.
    """
    named = sa.join(TASKS, BLOBS, TASKS.c.spent == BLOBS.c.digest)
    spent = sa.select(BLOBS.c.digest, BLOBS.c.place).select_from(named).where(TASKS.c.task_id == task_id)
    row = database.run(lambda connection: connection.execute(spent).one_or_none(), patient=patient)
    if row is None:
        return
    own = None if row.place is None else own_folder(database)

    def work(connection: sa.Connection) -> None:
        lock(connection, row.digest)
        place = connection.execute(sa.select(sa.func.mend_forget(task_id))).scalar()
        if place is not None and place.rsplit("/", 2)[1] == own:
            objects.remove(place)

    database.run(work, transaction=True, patient=patient)


def _folders(database: Database, own: str, store: str | None) -> set[str]:
    """The folders of this database in the stores."""
    statement = sa.select(BLOBS.c.place).where(BLOBS.c.place.is_not(None))
    places = database.run(lambda connection: connection.execute(statement).scalars().all())
    folders = {place.rsplit("/", 1)[0] for place in places}
    if store is not None:
        folders.add(f"{objects.folder_url(store)}/{own}")
    return {folder for folder in folders if folder.endswith(f"/{own}")}


def _removable(grace_s: float) -> sa.ColumnElement[bool]:
    named = sa.func.jsonb_each_text(SEARCHES.c.blobs).table_valued("key", "value")
    before = sa.func.clock_timestamp() - timedelta(seconds=grace_s)
    return sa.and_(
        BLOBS.c.created_at < before,
        ~sa.exists().select_from(sa.join(SEARCHES, named, named.c.value == BLOBS.c.digest)),
        ~sa.exists().where(sa.or_(TASKS.c.checkpoint == BLOBS.c.digest, TASKS.c.weights == BLOBS.c.digest)),
        ~sa.exists().where(  # a measurement that nobody waits for is never handed out
            MEASUREMENTS.c.blobs.has_key(BLOBS.c.digest),
            MEASUREMENTS.c.state.in_(("waiting", "leased")),
            MEASUREMENTS.c.wanted_at > before,
        ),
    )


def _candidates(database: Database, grace_s: float) -> list[str]:
    """Digests; those in the database come first, since an unreachable store must not keep them."""
    statement = sa.select(BLOBS.c.digest).where(_removable(grace_s)).order_by(BLOBS.c.place.nulls_first())
    return list(database.run(lambda connection: connection.execute(statement).scalars().all()))


def _discard(database: Database, digest: str, grace_s: float, own: str) -> int | None:
    """Remove a blob, its object first; bytes freed, or None if it is needed after all."""
    statement = sa.delete(BLOBS).where(BLOBS.c.digest == digest, _removable(grace_s))

    def work(connection: sa.Connection) -> int | None:
        lock(connection, digest)
        row = connection.execute(statement.returning(BLOBS.c.bytes, BLOBS.c.place)).one_or_none()
        if row is None:
            return None
        if row.place is None:
            return int(row.bytes)
        if row.place.rsplit("/", 2)[1] != own:  # this database is a copy of that which put it there
            return 0
        objects.remove(row.place)
        return int(row.bytes)

    return database.run(work, transaction=True)


def _discard_leftover(database: Database, file: objects.Found, grace_s: float) -> int | None:
    """Remove a file of the store that no blob names; bytes freed, or None if it stays."""
    matched = OBJECT_OR_LEFTOVER.fullmatch(file.name)
    if matched is None:
        return None
    digest = matched[1]

    def work(connection: sa.Connection) -> int | None:
        lock(connection, digest)
        known = sa.select(sa.exists().where(BLOBS.c.digest == digest, BLOBS.c.place == file.url))
        if connection.execute(known).scalar_one() or objects.age_s(file.url) <= grace_s:
            return None
        objects.remove(file.url)
        return file.bytes

    return database.run(work, transaction=True)
