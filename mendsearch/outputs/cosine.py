"""Cosine distance: embeddings of unit length."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mendsearch.outputs.base import Divergence, fitting, per_item, positions, signs


class Cosine(Divergence):
    """One minus the cosine of the angle between two vectors; the mean over positions where each has its own.

    Args:
        axis: the axis of a vector's components.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def prepare(self, values: Tensor) -> Tensor:
        """Vectors of length one."""
        return functional.normalize(values.float(), dim=self.axis)

    def between(self, found: Tensor, dense: Tensor) -> Tensor:
        # half the squared distance of unit vectors is the same, and exact for small angles
        return per_item((found - dense).square().sum(self.axis) / 2)

    def own_loss(self, found: Tensor) -> Tensor:
        """The mean square of the similarities of items: their lengths are one whatever the weights."""
        vectors = found.movedim(self.axis, -1).flatten(1)
        return (vectors @ vectors.T).square().mean()

    def drawn(self, found: Tensor, generator: torch.Generator) -> Tensor:
        """Of vectors drawn around the leaf's; only signs are drawn, which gives the same second moments."""
        return (found * signs(found, generator)).sum() / math.sqrt(positions(found.narrow(self.axis, 0, 1)))

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """The distance from target vectors."""
        return self.between(found, self.prepare(fitting(targets, found.shape, "vectors").to(found)))
