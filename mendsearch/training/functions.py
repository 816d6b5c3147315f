"""The user's own loss and fine-tuning, by the import paths of a spec."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from mendsearch.config import FinetuneSpec, TrainSpec
from mendsearch.errors import SpecError
from mendsearch.importing import import_factory
from mendsearch.training.loop import Loss


def loss_of(spec: TrainSpec | FinetuneSpec) -> Loss | None:
    """The user's own loss, or None.

    Raises:
        SpecError: it cannot be imported.
    """
    return None if spec.loss is None else import_factory(spec.loss, SpecError)


def function_of(spec: FinetuneSpec) -> Callable[[nn.Module, float, int], object] | None:
    """The user's own fine-tuning, or None.

    Raises:
        SpecError: it cannot be imported.
    """
    return None if spec.function is None else import_factory(spec.function, SpecError)
