"""The folder of a run: its spec, and what each finished stage recorded."""

from __future__ import annotations

import contextlib
from collections.abc import ItemsView, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from mendsearch.config import Spec, overridden
from mendsearch.errors import SpecError, UsageError
from mendsearch.files import read_json, write_json

FREE = ("mend.trials", "mend.seconds", "mend.warm_start", "fleet.")
"""Keys of a spec that may change between two runs in one folder: with more trials, or time, the search continues, and a
warm start has had its effect."""


class RunFolder:
    """`spec.json` and `stages.json` of a run's folder; every change is on disk when the call returns.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stages: dict[str, dict[str, Any]] = read_json(path / "stages.json") or {}

    def start(self, spec: Spec) -> None:
        """Write down the spec that the folder is a run of."""
        write_json(self.path / "spec.json", spec.model_dump(mode="json"))

    def abandon(self) -> None:
        """Give the folder free for any spec, if no stage is finished."""
        if not self._stages:
            for name in ("spec.json", "train.checkpoint"):
                (self.path / name).unlink(missing_ok=True)

    def __contains__(self, stage: str) -> bool:
        return stage in self._stages

    def __getitem__(self, stage: str) -> dict[str, Any]:
        return self._stages[stage]

    def __setitem__(self, stage: str, values: dict[str, Any]) -> None:
        self._stages[stage] = values
        write_json(self.path / "stages.json", self._stages)

    def items(self) -> ItemsView[str, dict[str, Any]]:
        """Finished stages and what they recorded."""
        return self._stages.items()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder for this process; it is made when it is missing, and gone again if no run was started in it.

    Raises:
        UsageError: another process holds it.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path / ".lock", timeout=0):
            try:
                yield
            finally:
                if read_json(path / "spec.json") is None:
                    (path / ".lock").unlink(missing_ok=True)
    except Timeout as error:
        raise UsageError(f"another process is at work in {path}; wait for it, or give another --out") from error
    finally:
        with contextlib.suppress(OSError):  # they hold something
            for folder in made:
                folder.rmdir()


def table_of(path: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """The spec of the run in a folder, before its keys and values are checked.

    Args:
        path: run folder.
        overrides: `key=value` pairs, as for `load_spec`.

    Raises:
        SpecError: the folder holds no run, or an override is no such pair.
    """
    table = read_json(path / "spec.json")
    if table is None:
        raise SpecError(f"{path} is a folder without a run: it holds no spec.json; give the path of a spec file")
    return overridden(table, overrides)


def check_spec(spec: Spec, path: Path) -> None:
    """Raise `SpecError` if the folder holds a run of another spec; keys in `FREE` may differ."""
    for key, (old, new) in differences(spec, path).items():
        raise SpecError(
            f"{path} holds a run of another spec: {key} was {old!r}, is {new!r}; leave out --out for a folder of its "
            f"own, or remove {path} to start over"
        )


def differences(spec: Spec, path: Path) -> dict[str, tuple[Any, Any]]:
    """By key, the values of the run in a folder and of a spec, where they differ; empty if there is no run.

    Keys in `FREE` may differ.
    """
    earlier = read_json(path / "spec.json")
    return {} if earlier is None else different(earlier, spec.model_dump(mode="json"))


def different(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By key, the values of two specs where they differ in more than keys in `FREE`. Missing keys have their defaults.

    Args:
        earlier: spec that an earlier version may have written.
        now: spec of this version.
    """
    with contextlib.suppress(ValidationError):
        earlier = Spec.model_validate(earlier).model_dump(mode="json")
    before, after = _flat(earlier), _flat(now)
    pairs = {key: (before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new and not key.startswith(FREE)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
