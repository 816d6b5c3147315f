"""What the labels say of an output whose shape alone does not tell logits from quantities."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from mendsearch.batches import BatchLike
from mendsearch.config import DivergenceName, OutputSpec
from mendsearch.outputs.choosing import Wishes, outputs_of

SUM = 1e-3
"""Distance from 1 at which the sum of labels still counts as 1: classes as one-hot vectors or soft labels."""


class OfLabels(OutputSpec):
    """A divergence that the labels ask for, not the user."""

    reason: ClassVar[str] = "by what its labels are"


def with_labels(model: nn.Module, inputs: BatchLike, labels: Tensor | None, wishes: Wishes | None) -> Wishes:
    """What the user says of outputs, completed by what the labels say.

    They say something where one output alone is compared, the user has not said how, and there is a floating-point
    label for each of its values: beyond 0 and 1 labels are quantities; all 0 or 1, they are decisions, unless each item
    has one class.

    Args:
        model: the dense network, trained or not; not changed.
        inputs: of the network.
        labels: with a first axis of items, in floating point if they are no classes; None where there are none.
        wishes: what the user says.
    """
    wishes = wishes or {}
    if labels is None or not labels.is_floating_point() or not labels.numel():
        return wishes
    outputs, divergences = outputs_of(model, inputs, wishes)
    compared = [output for output in outputs if output.name in divergences]
    if len(compared) != 1 or compared[0].name in wishes or math.prod(compared[0].shape) != labels[0].numel():
        return wishes
    kind = _kind(compared[0].divergence, labels)
    return wishes if kind is None else {**wishes, compared[0].name: OfLabels(divergence=kind)}


def _kind(guessed: str, labels: Tensor) -> DivergenceName | None:
    if guessed not in ("kl", "bernoulli"):
        return None
    if bool((labels < 0).any()) or bool((labels > 1).any()):
        return "squared"
    one_class = labels.dim() > 1 and bool(((labels.sum(1) - 1).abs() < SUM).all())
    decisions = bool(((labels == 0) | (labels == 1)).all())
    return "bernoulli" if guessed == "kl" and decisions and not one_class else None
