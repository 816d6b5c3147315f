"""Results on the disk of a node, while the database cannot be reached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

SUFFIX = ".jsonl"


def folder_name(url: sa.URL, of: str) -> str:
    """Name of a folder for something in a database, without secrets."""
    named = f"{url.host}/{url.port}/{url.database}/{sorted(url.query.items())}/{of}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


class Spool:
    """A file of this process for results that the database does not have yet; a result is on disk when `add` returns.

    Args:
        folder: folder on this node for one database and search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._results: dict[int, dict[str, Any]] = {}
        self._lock: FileLock | None = None

    def add(self, item_id: int, result: dict[str, Any]) -> None:
        """Keep the result (JSON values) of an item."""
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._folder / f"{os.getpid()}-{os.urandom(4).hex()}.lock")
            self._lock.acquire(timeout=0)
        self._results[item_id] = result
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self, item_id: int) -> None:
        """The database has the result of that item now."""
        if self._results.pop(item_id, None) is not None and not self._results:
            self._path.unlink()

    @property
    def _path(self) -> Path:
        assert self._lock is not None
        return Path(self._lock.lock_file).with_suffix(SUFFIX)

    @contextmanager
    def left_behind(self) -> Iterator[list[dict[str, Any]]]:
        """Results that ended processes left on this node; they are deleted unless the scope raises."""
        taken: list[tuple[FileLock, Path]] = []
        try:
            results: list[dict[str, Any]] = []
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                lock = FileLock(path.with_suffix(".lock"))
                try:
                    lock.acquire(timeout=0)
                except Timeout:  # its process lives
                    continue
                taken.append((lock, path))
                if path.is_file():
                    results += _whole_lines(path)
            yield results
            for _, path in taken:
                path.unlink(missing_ok=True)
        finally:
            for lock, path in taken:
                if not path.exists():
                    Path(lock.lock_file).unlink(missing_ok=True)
                lock.release()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """A process may have been killed while it wrote the last line."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
