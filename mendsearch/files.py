"""Files that exist complete or not at all, so that a run can be killed at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mendsearch.errors import UsageError

T = TypeVar("T")


def write_whole(path: Path, write: Callable[[Path], T]) -> T:
    """Let `write` fill a file beside `path`, sync it to disk, then rename it to `path`; nothing is left if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        returned = write(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return returned


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None if the file does not exist.

    Raises:
        UsageError: the file is damaged; files written by this module are complete, so something else wrote it.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}; remove the run's folder, or put the file back") from error


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Tensors, by name, of a safetensors file that a run wrote.

    Raises:
        UsageError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{path} is missing or damaged: {error}; remove the run's folder, or put the file back"
        ) from error


def read_metadata(path: Path) -> dict[str, str]:
    """Text by name in the header of a safetensors file, which `read_tensors` has read."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors, by name, to a safetensors file; they may be views, share memory, or be on any device."""
    from safetensors.torch import save_file

    packed = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(path, lambda partial: save_file(packed, partial, dict(metadata) if metadata else None))
