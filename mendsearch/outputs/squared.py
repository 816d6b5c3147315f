"""Squared error relative to how much the dense network's output varies: regression, boxes, spectra, maps."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from mendsearch.outputs.base import Divergence, fitting, per_item, positions, signs

QUIET = 1e-3
"""Part of the mean variance that the variance of one feature counts as at the least."""


class Squared(Divergence):
    """Squared error divided by the variance of the dense output over items; 1 is as bad as the mean of all items.

    Each feature is divided by its own variance, so that features on different scales count alike.

    Args:
        scale: variances, in a shape that broadcasts to the leaf's.
        size: mean squares, likewise.
    """

    def __init__(self, scale: Tensor, size: Tensor) -> None:
        self.scale, self.size = scale, size

    @classmethod
    def fitted(cls, dense: Tensor, axis: int = 1) -> Self:
        """Scaled by what the dense network gives.

        Args:
            dense: (N, …) leaf. Where nothing varies over its items, the mean square takes the variance's place.
            axis: the axis of features; a variance is the mean over all other axes but the first.
        """
        values = dense.float()
        variances = _by_feature(values.var(0, correction=0, keepdim=True), axis)
        squares = _by_feature(values.square().mean(0, keepdim=True), axis)
        squares = squares if squares.any() else torch.ones_like(squares)
        return cls(variances if variances.any() else squares, squares)

    def prepare(self, values: Tensor) -> Tensor:
        """As they are."""
        return values.float()

    def between(self, found: Tensor, dense: Tensor) -> Tensor:
        return per_item((found - dense).square() / self.scale.to(dense.device))

    def distillation(self, found: Tensor, dense: Tensor) -> Tensor:
        """Relative to the mean square: gradients of an output that hardly varies would be too steep."""
        return per_item((found.float() - dense.float()).square() / self.size.to(dense.device))

    def own_loss(self, found: Tensor) -> Tensor:
        """The mean square."""
        return (found.square() / self.scale.to(found.device)).mean()

    def drawn(self, found: Tensor, generator: torch.Generator) -> Tensor:
        """Of values drawn around the leaf; only their signs are drawn, which gives the same second moments."""
        scaled = found / self.scale.to(found.device).sqrt()
        return (scaled * signs(found, generator)).sum() * math.sqrt(2 / positions(found))

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error."""
        return per_item((found - fitting(targets, found.shape, "targets").to(found)).square())


def _by_feature(spread: Tensor, axis: int) -> Tensor:
    """Means (1, …) over all axes but that of features, none of them much smaller than the others."""
    others = [dim for dim in range(1, spread.dim()) if dim != axis]
    found = spread.mean(others, keepdim=True) if others else spread
    least = float(found.mean()) * QUIET
    return found.clamp_min(least) if least else found
