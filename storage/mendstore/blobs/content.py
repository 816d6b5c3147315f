"""Upload and download of blobs."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mendstore.blobs import objects
from mendstore.blobs.cache import BlobCache
from mendstore.blobs.tables import BLOBS, CHUNKS, DIGEST, is_kept, own_folder
from mendstore.database import Database
from mendstore.errors import StorageError

CHUNK_BYTES = 4 * 2**20
LIMIT_BYTES = 256 * 2**20

Progress = Callable[[int, int], None]
"""Callback with the bytes done so far, and the total."""


def no_progress(done: int, total: int) -> None:
    """Report no progress."""


class Blobs:
    """The blobs of a study database.

    Args:
        database: study database with the current schema.
        store: URL of a folder for blobs that are too large for the database, such as a path or `s3://bucket/prefix`.
            Every worker must be able to reach it. Only uploads need this argument.
        limit_bytes: size of the largest blob that is kept in the database.
        cache: folder for downloaded blobs; by default `MENDSEARCH_CACHE`, or the user's cache folder.
        patient: whether uploads wait during an outage.

    Raises:
        StorageError: the store's URL cannot be used.
    """

    def __init__(
        self,
        database: Database,
        *,
        store: str | None = None,
        limit_bytes: int = LIMIT_BYTES,
        cache: Path | None = None,
        patient: bool = True,
    ) -> None:
        self._database, self._limit_bytes, self._patient = database, limit_bytes, patient
        self._store = None if store is None else objects.folder_url(store)
        self._cache = BlobCache(cache)

    def put(self, content: Path | bytes, progress: Progress = no_progress) -> str:
        """Store bytes, or the content of a file, unless it is stored already; returns the digest.

        A file is read twice and is never held in memory as a whole. An interrupted upload can be repeated.

        Raises:
            StorageError: the database or the store cannot be used, or the content is too large for the database and
                no store is given.
        """
        with _opened(content) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.seek(0, io.SEEK_END)
        inside = size <= self._limit_bytes
        place = None if inside or self._store is None else f"{self._store}/{own_folder(self._database)}/{digest}"

        def pieces() -> Iterator[bytes]:
            return _checked(_pieces(content), digest, size, progress, "changed while it was put; put it again")

        def keep(connection: sa.Connection) -> bool:
            kept = is_kept(connection, digest, size, place)
            if not kept and inside:
                _insert(connection, digest, size, pieces())
            return kept or inside

        if self._database.run(keep, transaction=True, patient=self._patient):
            return digest
        if place is None:
            raise StorageError(
                f"a blob is too large for the database: got {size:,} bytes, expected at most {self._limit_bytes:,}; "
                f"give the URL of a store that every worker reaches: a shared folder, or s3://bucket/prefix"
            )
        objects.upload(place, pieces())
        kept = partial(is_kept, digest=digest, size=size, place=place)
        if not self._database.run(kept, transaction=True, patient=self._patient):
            raise StorageError(f"blob {digest}: {place} does not hold what was written there; put it again")
        return digest

    def fetch(self, digest: str, progress: Progress = no_progress) -> Path:
        """A file on this node with the verified content of a blob, from the cache if it is there.

        Raises:
            StorageError: there is no such blob, its stored content is damaged, or it cannot be reached.
        """
        if not DIGEST.fullmatch(digest):  # it becomes the name of a file
            raise StorageError(f"blob {digest!r}: expected a sha256, 64 hexadecimal digits")
        return self._cache.get(digest, lambda: self._content(digest, progress))

    def save(self, digest: str, path: Path) -> None:
        """Write the verified content of a blob to a file, past the cache: for what is needed once.

        Raises:
            StorageError: as `fetch`.
        """
        with path.open("wb") as file:
            for piece in self._content(digest, no_progress):
                file.write(piece)

    def read(self, digest: str) -> bytes:
        """The verified content of a blob, past the cache: for what is needed once, and read from memory.

        Raises:
            StorageError: as `fetch`.
        """
        return b"".join(self._content(digest, no_progress))

    def _content(self, digest: str, progress: Progress) -> Iterator[bytes]:
        statement = sa.select(BLOBS.c.bytes, BLOBS.c.place).where(BLOBS.c.digest == digest)
        row = self._database.run(lambda connection: connection.execute(statement).one_or_none())
        if row is None:
            raise StorageError(f"blob {digest} is not in this database; if its search was removed, create it again")
        if row.place is None:
            pieces = self._chunks(digest)
            complaint = "is damaged in the database; delete its search, run gc, and create it again"
        else:
            pieces = objects.read(row.place)
            complaint = f"is damaged in the store; remove {row.place}, and create its search again"
        return _checked(pieces, digest, row.bytes, progress, complaint)

    def _chunks(self, digest: str) -> Iterator[bytes]:
        """One round trip for each chunk, so that other threads of the process can use the connection in between."""
        for number in itertools.count():
            statement = sa.select(CHUNKS.c.content).where(CHUNKS.c.digest == digest, CHUNKS.c.number == number)
            piece = self._database.run(partial(_scalar, statement))
            if piece is None:
                return
            yield piece


def _scalar(statement: sa.Select[Any], connection: sa.Connection) -> bytes | None:
    value: bytes | None = connection.execute(statement).scalar()
    return value


def _insert(connection: sa.Connection, digest: str, size: int, pieces: Iterable[bytes]) -> None:
    # a row that has lost its content is filled again; workers may not delete it
    row = insert(BLOBS).values(digest=digest, bytes=size)
    connection.execute(row.on_conflict_do_update(index_elements=["digest"], set_={"bytes": size, "place": None}))
    for number, piece in enumerate(pieces):
        chunk = insert(CHUNKS).values(digest=digest, number=number, content=piece)
        whole = {"content": chunk.excluded.content}
        connection.execute(chunk.on_conflict_do_update(index_elements=["digest", "number"], set_=whole))


def _opened(content: Path | bytes) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _pieces(content: Path | bytes) -> Iterator[bytes]:
    with _opened(content) as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _checked(pieces: Iterable[bytes], digest: str, size: int, progress: Progress, complaint: str) -> Iterator[bytes]:
    """The same pieces, with an error at the end if their digest is another one."""
    hashed, done = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        done += len(piece)
        if done > size:
            break
        yield piece
        progress(done, size)
    if done > size or hashed.hexdigest() != digest:
        raise StorageError(f"blob {digest} {complaint}")
