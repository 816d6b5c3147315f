"""The base class of all divergences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from mendsearch.errors import DataError, ModelError


class Divergence(ABC):
    """How far one output leaf of a candidate is from the dense network's.

    `between` is zero where both are equal and positive where they differ, up to rounding. Leaves are put into the form
    that it takes by `prepare`, once.
    """

    @abstractmethod
    def prepare(self, values: Any) -> Any:
        """A leaf (N, …) in the form in which leaves are compared, float32."""

    @abstractmethod
    def between(self, found: Any, dense: Any) -> Tensor:
        """Divergences (N,) float32 of a candidate's prepared leaf from the dense network's."""

    def agreement(self, found: Any, dense: Any) -> Tensor | None:
        """Fractions (N,) of decisions that are the same in both prepared leaves; None if the leaf decides nothing."""
        return None

    def distillation(self, found: Any, dense: Any) -> Tensor:
        """The divergence (N,) that fine-tuning lowers, of leaves as the networks give them."""
        return self.between(self.prepare(found), self.prepare(dense))

    def own_loss(self, found: Any) -> Tensor:
        """A scalar made from a prepared leaf alone, whose gradient says what the leaf depends on.

        Raises:
            ModelError: the leaf has no gradient.
        """
        raise ModelError("the criterion `taylor` needs outputs with a gradient; try the criterion `gram`")

    def drawn(self, found: Any, generator: torch.Generator) -> Tensor:
        """A scalar, drawn at random, whose gradient g has zero mean and E[g gᵀ] = the Hessian of `between`.

        It is the log-likelihood of decisions that are drawn from a prepared leaf, summed over items.

        Args:
            found: the prepared leaf, with a gradient.
            generator: of the CPU, so that all devices draw alike.

        Raises:
            ModelError: the leaf has no gradient.
        """
        raise ModelError("the outputs have no gradient")

    def loss(self, found: Any, targets: Tensor) -> Tensor:
        """Losses (N,) of a prepared leaf against targets from the data set.

        Raises:
            DataError: there is no such loss, or the targets do not fit.
        """
        raise DataError("these outputs have no built-in loss; give train.loss and finetune.loss, or distil alone")

    def right(self, found: Any, targets: Tensor) -> Tensor | None:
        """Fractions (N,) of decisions of a prepared leaf that are as the targets say; None if it decides nothing."""
        return None


def per_item(values: Tensor) -> Tensor:
    """Means (N,) over all but the first axis."""
    return values.flatten(1).mean(1) if values.dim() > 1 else values


def positions(values: Tensor) -> int:
    """Values of one item."""
    return max(1, values[0].numel())


def signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """1 or -1, each as often as the other, in a shape."""
    return (torch.rand(like.shape, generator=generator) < 0.5).to(like) * 2 - 1


def fitting(targets: Tensor, shape: torch.Size, what: str) -> Tensor:
    """Targets in the shape of what they are compared with; axes of size 1 may be missing.

    Raises:
        DataError: they have another shape.
    """
    if targets.numel() != shape.numel() or len(targets) != shape[0]:
        raise DataError(f"targets of shape {tuple(targets.shape)} do not fit: expected {what} of shape {tuple(shape)}")
    return targets.reshape(shape)
