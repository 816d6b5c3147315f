"""Least squares of a layer with far more features than rows, such as one that reads a large flatten: by its rows.

The solution is a combination of rows, c = Xᵀ (X Xᵀ + n λ I)⁻¹ Y, so that no matrix of features times features is made.

Reference: Saunders, Gammerman and Vovk, "Ridge Regression Learning Algorithm in Dual Variables", ICML 1998.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mendsearch.reconstruction.channels import TINY


@dataclass(frozen=True, eq=False)
class Rows:
    """What a layer reads, x, and what it lacks, y, row by row; about a fixed origin of each.

    Attributes:
        read: (conv groups, rows, features) float32.
        lacking: (conv groups, rows, outputs) float32.
    """

    read: Tensor
    lacking: Tensor

    @classmethod
    def of(cls, patches: Tensor, missing: Tensor) -> Rows:
        """Of (conv groups, rows, features) and (conv groups, rows, outputs), float32. What is not finite is nothing."""
        return cls(*(torch.nan_to_num(part, 0.0, 0.0, 0.0) for part in (patches, missing)))

    def __add__(self, other: Rows) -> Rows:
        """Of both together."""
        return Rows(torch.cat([self.read, other.read], 1), torch.cat([self.lacking, other.lacking], 1))

    @property
    def mean(self) -> Tensor:
        """(conv groups, features) float64, E[x]."""
        return self.read.mean(1).double()

    @property
    def lack(self) -> Tensor:
        """(conv groups, outputs) float64, E[y]."""
        return self.lacking.mean(1).double()

    def about(self, centre: Rows | None) -> DualEquations:
        """The equations about the means of `centre`, or about the origin."""
        if centre is None:
            return DualEquations(self.read, self.lacking)
        return DualEquations(
            self.read - centre.read.mean(1, keepdim=True), self.lacking - centre.lacking.mean(1, keepdim=True)
        )


@dataclass(frozen=True, eq=False)
class DualEquations:
    """(X Xᵀ / n) a = Y / n, and change = Xᵀ a.

    Attributes:
        read: X, (conv groups, rows, features) float32.
        lacking: Y, (conv groups, rows, outputs) float32.
    """

    read: Tensor
    lacking: Tensor

    def single(self) -> DualEquations:
        """As they are."""
        return self

    def solve(self, ridge: float) -> Tensor:
        """(conv groups, features, outputs) float32, with a ridge that is a fraction of the mean variance.

        It grows tenfold for a conv group until there is a factor.
        """
        rows = self.read.shape[1]
        products = (self.read @ self.read.transpose(1, 2)).double()
        scale = self.read.square().mean((1, 2)).double() * rows + TINY
        ridges, unit = torch.full_like(scale, ridge), torch.eye(rows).to(products)
        while True:
            factors, failed = torch.linalg.cholesky_ex(products + (ridges * scale)[:, None, None] * unit)
            if not failed.any():
                weights = torch.cholesky_solve(self.lacking.double(), factors).float()
                return self.read.transpose(1, 2) @ weights
            ridges = torch.where(failed > 0, 10 * ridges, ridges)

    def error(self, change: Tensor) -> float:
        """The mean square that is lacking after a change, less the one before."""
        given = self.read @ change.float()
        return float((given.square() - 2 * given * self.lacking).sum()) / self.read.shape[1]
