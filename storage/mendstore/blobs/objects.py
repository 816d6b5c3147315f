"""Objects outside the database, by URL: in a folder, at `s3://bucket/prefix`, or wherever else fsspec reaches.

An object appears completely or not at all: it is written under another name, NAME.HEX.partial, and then moved. So an
interrupted upload never passes for an object on any file system; an object store pays for it with one more copy. Parts
of a killed S3 upload are in no listing; a lifecycle rule of the bucket removes them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from mendstore.errors import StorageError

PIECE_BYTES = 4 * 2**20
PARTIAL = ".partial"


@dataclass(frozen=True)
class Found:
    """A file in a folder.

    Attributes:
        url: URL of the file.
        name: last part of the URL.
        bytes: size of the file.
    """

    url: str
    name: str
    bytes: int


def folder_url(store: str) -> str:
    """The URL of a folder in the form that is stored: absolute, with its protocol, without a trailing slash.

    Raises:
        StorageError: the URL holds a password, or no installed package can reach it.
    """
    with _failures_named(store):
        system, path = _located(store)
        return f"file://{path}" if isinstance(system, LocalFileSystem) else store.rstrip("/")


def size(url: str) -> int | None:
    """Bytes of an object, or None if there is none."""
    with _failures_named(url):
        system, path = _located(url)
        try:
            return int(system.info(path)["size"])
        except FileNotFoundError:
            return None


def upload(url: str, pieces: Iterable[bytes]) -> None:
    """Write an object completely or not at all; an existing one is replaced."""
    with _failures_named(url):
        system, path = _located(url)
        partial = f"{path}.{secrets.token_hex(4)}{PARTIAL}"
        try:
            with _created(system, partial) as file:
                for piece in pieces:
                    file.write(piece)
                if isinstance(system, LocalFileSystem):
                    file.flush()
                    os.fsync(file.fileno())
            system.mv(partial, path)
        except BaseException:
            with suppress(Exception):  # the store may be what failed; `leftovers` finds the file later
                system.rm_file(partial)
            raise


def read(url: str) -> Iterator[bytes]:
    """The content of an object, in pieces."""
    with _failures_named(url):
        system, path = _located(url)
        with system.open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def remove(url: str) -> None:
    """Remove an object, if there is one."""
    with _failures_named(url), suppress(FileNotFoundError):
        system, path = _located(url)
        system.rm_file(path)


def files(folder: str) -> list[Found]:
    """The files of a folder, objects and leftovers; empty if there is no folder."""
    with _failures_named(folder):
        system, path = _located(folder)
        try:
            entries = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
        names = [(entry["name"].rsplit("/", 1)[-1], entry) for entry in entries if entry["type"] == "file"]
        return [Found(f"{folder}/{name}", name, int(entry["size"])) for name, entry in names]


def age_s(url: str) -> float:
    """Seconds since a file was last written, by this machine's clock; 0 if there is none."""
    with _failures_named(url):
        system, path = _located(url)
        try:
            return float(time.time() - system.modified(path).timestamp())
        except FileNotFoundError:
            return 0.0


def _located(url: str) -> tuple[Any, str]:
    """The file system and the path in it, without cached listings, since other processes write there too."""
    if "::" in url:
        raise StorageError(f"store {url}: chained URLs are not taken; give a folder or s3://bucket/prefix")
    if urlsplit(url).password is not None:
        raise StorageError(
            "the store's URL holds a password, and every worker would read it in the database; leave it out and set "
            "it on each node, as the library of that protocol takes it (AWS_SECRET_ACCESS_KEY, say)"
        )
    system, path = url_to_fs(url)
    system.invalidate_cache()
    return system, path.rstrip("/")


def _created(system: Any, path: str) -> BinaryIO:
    try:
        file: BinaryIO = system.open(path, "wb")
    except FileNotFoundError:  # no such folder; object stores have none, and are not asked for one
        system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        file = system.open(path, "wb")
    return file


@contextmanager
def _failures_named(url: str) -> Iterator[None]:
    """Within the scope, any error of the library behind a protocol becomes a `StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StorageError(
            f"store {url} failed: {reason}; see that it can be reached from this node, with credentials for it"
        ) from error
