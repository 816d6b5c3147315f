"""Find the structure of a smaller dense network that fits a budget at the best accuracy.

The names below are the public API. They are imported when they are first used, so that the parts that need no PyTorch
(`mendsearch status`, a dashboard) run where it is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mendsearch.api import mend
    from mendsearch.artifacts import Pruned, PrunedStructure, apply, load, save
    from mendsearch.batches import Batch
    from mendsearch.calibration import CalibrationWarning
    from mendsearch.config import Budget, PruneSpec, Spec, load_spec
    from mendsearch.errors import FinetuneError, MendsearchError, UsageError
    from mendsearch.exporting import export
    from mendsearch.latency.calling import profile
    from mendsearch.progress import Progress
    from mendsearch.training.sources.base import ArrayDataset, DataSource

_HOMES = {
    "ArrayDataset": "mendsearch.training.sources.base",
    "Batch": "mendsearch.batches",
    "Budget": "mendsearch.config",
    "CalibrationWarning": "mendsearch.calibration",
    "DataSource": "mendsearch.training.sources.base",
    "FinetuneError": "mendsearch.errors",
    "MendsearchError": "mendsearch.errors",
    "Progress": "mendsearch.progress",
    "PruneSpec": "mendsearch.config",
    "Pruned": "mendsearch.artifacts",
    "PrunedStructure": "mendsearch.artifacts",
    "Spec": "mendsearch.config",
    "UsageError": "mendsearch.errors",
    "apply": "mendsearch.artifacts",
    "export": "mendsearch.exporting",
    "load": "mendsearch.artifacts",
    "load_spec": "mendsearch.config",
    "mend": "mendsearch.api",
    "profile": "mendsearch.latency.calling",
    "save": "mendsearch.artifacts",
}

__all__ = [
    "ArrayDataset",
    "Batch",
    "Budget",
    "CalibrationWarning",
    "DataSource",
    "FinetuneError",
    "MendsearchError",
    "Progress",
    "PruneSpec",
    "Pruned",
    "PrunedStructure",
    "Spec",
    "UsageError",
    "apply",
    "export",
    "load",
    "load_spec",
    "mend",
    "profile",
    "save",
]


def __getattr__(name: str) -> Any:
    if name == "figures":  # a module, which needs no PyTorch
        return importlib.import_module("mendsearch.figures")
    if name not in _HOMES:
        raise AttributeError(f"module `mendsearch` has no attribute `{name}`")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
