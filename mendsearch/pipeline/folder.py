"""The folder of a run: its spec, and what each finished stage recorded."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mendsearch.config import Spec, overridden, parse_spec
from mendsearch.errors import SpecError, UsageError
from mendsearch.files import read_json, write_json

FREE = ("mend.trials", "fleet.")
"""Keys of a spec that may change between two runs in one folder: with more trials, the search continues."""


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
    """Hold the folder for this process; it is made when it is missing.

    Raises:
        UsageError: another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UsageError(f"another process is at work in {path}; wait for it, or give another --out") from error


def spec_of(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """The spec of the run in a folder.

    Args:
        path: run folder.
        overrides: `key=value` pairs, as for `load_spec`.

    Raises:
        SpecError: the folder holds no run, or an override is wrong.
    """
    table = read_json(path / "spec.json")
    if table is None:
        raise SpecError(f"{path} is a folder without a run: it holds no spec.json; give the path of a spec file")
    return parse_spec(overridden(table, overrides), origin=str(path / "spec.json"))


def check_spec(spec: Spec, path: Path) -> None:
    """Raise `SpecError` if the folder holds a run of another spec; keys in `FREE` may differ."""
    earlier = read_json(path / "spec.json")
    if earlier is None:
        return
    before, now = _flat(earlier), _flat(spec.model_dump(mode="json"))
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old != new and not key.startswith(FREE):
            raise SpecError(
                f"{path} holds a run of another spec: {key} was {old!r}, is {new!r}; give another --out, "
                f"or remove the folder to start over"
            )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
