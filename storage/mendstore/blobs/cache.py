"""Blobs on the disk of a node, shared by its workers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs
from filelock import FileLock

from mendstore.errors import StorageError

FOLDER_VARIABLE = "MENDSEARCH_CACHE"


def default_folder() -> Path:
    """`MENDSEARCH_CACHE`, or the folder for caches of this user."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else platformdirs.user_cache_path("mendsearch")


class BlobCache:
    """Files named by the sha256 of their content. Each file is hashed before it is handed out.

    Args:
        folder: folder on this node; `default_folder()` by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()).absolute() / "blobs"

    def get(self, digest: str, pieces: Callable[[], Iterable[bytes]]) -> Path:
        """The file with that content, fetched if it is missing, damaged or truncated.

        If several processes want it at once, one fetches it and the others wait; if that one is killed, another takes
        over.

        Args:
            digest: hexadecimal sha256 of the content.
            pieces: function that yields the content, or raises.

        Raises:
            StorageError: the folder cannot be used.
        """
        path = self.folder / digest
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                seen = _identity(path)
                if seen is not None and _digest(path) == digest:
                    return path
                with FileLock(f"{path}.lock"):
                    if _identity(path) == seen:
                        _write(path, pieces())
                        return path
        except OSError as error:
            raise StorageError(
                f"blob {digest} cannot be kept under {self.folder}: {error.strerror or error}; set {FOLDER_VARIABLE} "
                f"to a folder that this user can write, with room for it"
            ) from error


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Inode, size and time of the file; different for every file that had this path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    partial = path.with_name(path.name + ".partial")  # the lock is held: no other process writes it
    with partial.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    os.replace(partial, path)
