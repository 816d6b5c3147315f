"""What the labels say of an output whose shape alone does not tell logits from quantities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.config import DivergenceName, OutputSpec
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs.choosing import BATCH, ITEMS, Wishes, outputs_of
from mendsearch.outputs.guessing import Output
from mendsearch.outputs.leaves import leaves_of

SUM = 1e-3
"""Distance from 1 at which the sum of labels still counts as 1: classes as one-hot vectors or soft labels."""
EXPLAINED = 0.5
"""Part of the variance of labels that is left where outputs are their logits."""


class OfLabels(OutputSpec):
    """A divergence that the labels ask for, not the user."""

    reason: ClassVar[str] = "by what its labels are"


def with_labels(model: nn.Module, inputs: BatchLike, labels: Tensor | None, wishes: Wishes | None) -> Wishes:
    """What the user says of outputs, completed by what the labels say.

    They say something where one output alone is compared, the user has not said how, and there is a floating-point
    label for each of its values. Beyond 0 and 1 labels are quantities. All 0 or 1, they are decisions, unless each item
    has one class. Between 0 and 1 they are quantities, such as the brightness of pixels, unless there are no more than
    two of them, or the outputs are their logits already.

    Args:
        model: the dense network, trained or not; not changed.
        inputs: (N, ...) of the network.
        labels: (N, ...), in floating point if they are no classes; None where there are none.
        wishes: what the user says.
    """
    wishes = wishes or {}
    if labels is None or not labels.is_floating_point() or not labels.numel():
        return wishes
    outputs, divergences = outputs_of(model, inputs, wishes)
    compared = [output for output in outputs if output.name in divergences]
    if len(compared) != 1 or compared[0].name in wishes or math.prod(compared[0].shape) != labels[0].numel():
        return wishes
    kind = _kind(compared[0], labels, lambda: _values(model, inputs, compared[0].name))
    return wishes if kind is None else {**wishes, compared[0].name: OfLabels(divergence=kind)}


def _kind(guessed: Output, labels: Tensor, values: Callable[[], Tensor]) -> DivergenceName | None:
    if guessed.divergence not in ("kl", "bernoulli"):
        return None
    if bool((labels < 0).any()) or bool((labels > 1).any()):
        return "squared"
    if labels.dim() > 1 and bool(((labels.sum(1) - 1).abs() < SUM).all()):  # one class an item
        return None
    if bool(((labels == 0) | (labels == 1)).all()):
        return "bernoulli" if guessed.divergence == "kl" else None
    smoothed = len(labels.unique()) <= 2
    return None if smoothed or (not guessed.probabilities and _are_logits(values(), labels)) else "squared"


@torch.no_grad()
def _values(model: nn.Module, inputs: BatchLike, name: str) -> Tensor:
    """(n, ...) float32 on the CPU, an output for the first items."""
    some = Batch.of(inputs)[:ITEMS]
    with evaluating(model):
        parts = [leaves_of(to_network(part, model).call(model))[name] for part in some.split(BATCH)]
    return torch.cat([part.float().cpu() for part in parts if isinstance(part, Tensor)])


def _are_logits(values: Tensor, labels: Tensor) -> bool:
    """Whether a network that was trained gives logits of labels from 0 to 1."""
    wanted = labels[: len(values)].float().cpu().reshape(len(values), -1)
    error = (values.reshape(len(values), -1).sigmoid() - wanted).square().mean()
    return bool(error < EXPLAINED * (wanted - wanted.mean(0)).square().mean())
