"""Least squares by second moments: the normal equations of a layer with more rows than features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mendsearch.reconstruction.channels import TINY

BLOCK = 512
"""Features from which a Gram matrix is made in halves."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Of what a layer reads, x, and of what it lacks, y, over some rows; about a fixed origin of each.

    Attributes:
        rows: how many.
        mean: (conv groups, features) float64, E[x].
        lack: (conv groups, outputs) float64, E[y].
        gram: (conv groups, features, features) float64, E[x xᵀ].
        crossed: (conv groups, features, outputs) float64, E[x yᵀ].
    """

    rows: int
    mean: Tensor
    lack: Tensor
    gram: Tensor
    crossed: Tensor

    @classmethod
    def of(cls, patches: Tensor, missing: Tensor) -> Moments:
        """Of (conv groups, rows, features) and (conv groups, rows, outputs), float32.

        What is not finite counts as nothing; the outputs of such a candidate are not finite, and its score says so.
        """
        rows, turned = patches.shape[1], patches.transpose(1, 2)
        found = (patches.mean(1), missing.mean(1), _gram(patches) / rows, turned @ missing / rows)
        return cls(rows, *(torch.nan_to_num(part.double(), 0.0, 0.0, 0.0) for part in found))

    def __add__(self, other: Moments) -> Moments:
        """Of both together."""
        part = other.rows / (self.rows + other.rows)
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Moments(self.rows + other.rows, *(torch.lerp(ours, theirs, part) for ours, theirs in pairs))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.mean, self.lack, self.gram, self.crossed

    def about(self, centre: Moments | None) -> NormalEquations:
        """The equations about the means of `centre`, or about the origin."""
        if centre is None:
            return NormalEquations(self.gram, self.crossed)
        # E[(x - a)(y - b)ᵀ] = E[x yᵀ] - E[x] bᵀ - a (E[y] - b)ᵀ
        means = torch.stack([self.mean, centre.mean], 2)
        x = torch.stack([centre.mean, self.mean - centre.mean], 1)
        y = torch.stack([centre.lack, self.lack - centre.lack], 1)
        return NormalEquations(self.gram.baddbmm(means, x, alpha=-1), self.crossed.baddbmm(means, y, alpha=-1))


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """E[x xᵀ] change = E[x yᵀ].

    Attributes:
        gram: (conv groups, features, features).
        crossed: (conv groups, features, outputs).
    """

    gram: Tensor
    crossed: Tensor

    def single(self) -> NormalEquations:
        """In single precision, which is enough to choose a ridge, and twice as fast."""
        return NormalEquations(self.gram.float(), self.crossed.float())

    def solve(self, ridge: float) -> Tensor:
        """(conv groups, features, outputs), with a ridge that is a fraction of the mean variance.

        It grows tenfold for a conv group until there is a factor.
        """
        scale = self.gram.diagonal(dim1=1, dim2=2).mean(1) + TINY
        ridges = torch.full_like(scale, ridge)
        while True:
            damped = self.gram.clone()
            damped.diagonal(dim1=1, dim2=2).add_((ridges * scale)[:, None])
            factors, failed = torch.linalg.cholesky_ex(damped)
            if not failed.any():
                return torch.cholesky_solve(self.crossed, factors)
            ridges = torch.where(failed > 0, 10 * ridges, ridges)

    def error(self, change: Tensor) -> float:
        """The mean square that is lacking after a change, less the one before."""
        return float(((self.gram @ change - 2 * self.crossed) * change).sum())


def _gram(rows: Tensor) -> Tensor:
    """XᵀX, (conv groups, features, features), of (conv groups, rows, features): of two equal corners one is made."""
    features = rows.shape[2]
    if features <= BLOCK:
        return rows.transpose(1, 2) @ rows
    left, right = rows[:, :, : features // 2], rows[:, :, features // 2 :]
    corner = left.transpose(1, 2) @ right
    upper = torch.cat([_gram(left), corner], 2)
    return torch.cat([upper, torch.cat([corner.transpose(1, 2), _gram(right)], 2)], 1)
