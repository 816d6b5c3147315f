"""What a run has done so far, in its folder."""

from __future__ import annotations

from collections.abc import ItemsView
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from mendsearch.config import Spec
from mendsearch.errors import SpecError
from mendsearch.files import read_json, write_json

FREE = ("mend.trials", "fleet.")
"""Keys of a spec that may change between two runs in one folder: more trials go on, fewer are there already."""


class Record:
    """`spec.json` and `stages.json` of a run's folder; every change is on the disk when it returns.

    Args:
        out: the run's folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._stages: dict[str, dict[str, Any]] = read_json(out / "stages.json") or {}

    def start(self, spec: Spec) -> None:
        """Keep the spec that the folder is a run of."""
        write_json(self.out / "spec.json", spec.model_dump(mode="json"))

    def __contains__(self, stage: str) -> bool:
        return stage in self._stages

    def __getitem__(self, stage: str) -> dict[str, Any]:
        return self._stages[stage]

    def __setitem__(self, stage: str, values: dict[str, Any]) -> None:
        self._stages[stage] = values
        write_json(self.out / "stages.json", self._stages)

    def items(self) -> ItemsView[str, dict[str, Any]]:
        """Stages and what they recorded."""
        return self._stages.items()


def check_spec(spec: Spec, out: Path) -> None:
    """Raise `SpecError` where the folder holds a run of another spec; the number of trials may differ."""
    earlier = read_json(out / "spec.json")
    if earlier is None:
        return
    before, now = _flat(earlier), _flat(spec.model_dump(mode="json"))
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old != new and not key.startswith(FREE):
            raise SpecError(
                f"{out} holds a run of another spec: {key} was {old!r}, is {new!r}; give another --out, "
                f"or remove the folder to start anew"
            )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def study_counts(study: optuna.Study) -> dict[str, int]:
    """Trials by how they ended: `complete`, `stopped_early`, `failed`."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    names = {"complete": TrialState.COMPLETE, "stopped_early": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: states.count(state) for name, state in names.items()}


def versions() -> dict[str, str]:
    """Of the packages that figures depend on."""
    return {name: version(name) for name in ("mendsearch", "torch", "torchvision", "torch-pruning", "optuna")}
