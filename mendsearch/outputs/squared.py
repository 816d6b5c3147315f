"""Squared error relative to how much the dense network's output varies: regression, boxes, spectra, maps."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from mendsearch.outputs.base import Divergence, fitting, per_item

QUIET = 1e-3
"""Part of the mean variance that the variance of one feature counts as at the least."""


class Squared(Divergence):
    """Squared error divided by the variance of the dense output over items; 1 is as bad as the mean of all items.

    Each feature is divided by its own variance, so that features on different scales count alike.

    Args:
        scale: variances, in a shape that broadcasts to the leaf's.
    """

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale

    @classmethod
    def fitted(cls, dense: Tensor, axis: int = 1) -> Self:
        """Scaled by what the dense network gives.

        Args:
            dense: (N, …) leaf. Where nothing varies over its items, the mean square takes the variance's place.
            axis: the axis of features; a variance is the mean over all other axes but the first.
        """
        values = dense.float()
        spread = values.var(0, correction=0, keepdim=True)
        if not spread.any():
            spread = values.square().mean(0, keepdim=True)
        others = [dim for dim in range(1, values.dim()) if dim != axis]
        if others:
            spread = spread.mean(others, keepdim=True)
        least = float(spread.mean()) * QUIET
        return cls(spread.clamp_min(least) if least else torch.ones_like(spread))

    def prepare(self, values: Tensor) -> Tensor:
        """As they are."""
        return values.float()

    def between(self, found: Tensor, dense: Tensor) -> Tensor:
        return per_item((found - dense).square() / self.scale.to(dense.device))

    def own_loss(self, found: Tensor) -> Tensor:
        """The mean square."""
        return (found.square() / self.scale.to(found.device)).mean()

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error."""
        return per_item((found - fitting(targets, found.shape, "targets").to(found)).square())
