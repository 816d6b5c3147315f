"""Least squares for the inputs that are gone, folded into the weights for the inputs that stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mendsearch.coupling.layout import Consumer, Ints
from mendsearch.errors import ModelError
from mendsearch.ranking.statistics import InputStatistics

RIDGE = 1e-3
"""λ as a fraction of the mean variance of the consumer's inputs."""
TINY = 1e-10
"""Variance at the least, so that a consumer whose inputs never change has a factor too."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What one consumer needs to be rebuilt at any keep counts; made once per search.

    Attributes:
        order: (C,) int64, its input indices by rank order, those that always stay first.
        weight: (C_out, K, C) float32, the dense weight over K kernel positions, inputs in `order`.
        mean: (C,) float32, input means in `order`; zero where a constant shift is not absorbed.
        gram: (C, C) float32, input Gram matrix in `order`, ridge included.
        factor: (C, C) float32, lower Cholesky factor of `gram`, where every kept set is a prefix of `order`; else None.
    """

    order: Tensor
    weight: Tensor
    mean: Tensor
    gram: Tensor
    factor: Tensor | None

    def rebuild(self, kept: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """The consumer's weights for the inputs that stay.

        With kept set S, removed set R and x_R ≈ B x_S, B = G[R,S] G[S,S]⁻¹: W' = W[:,S] + W[:,R] B. Where S is a
        prefix of the rank order, G[S,S] has the leading block of the factor L as its own, and
        W[:,R] B = (W[:,R] L[R,S]) L[S,S]⁻¹ costs one triangular solve.

        Args:
            kept: (S,) int64, kept inputs, ascending.
            rows: (O,) int64, kept outputs, ascending, or None for all.

        Returns:
            weight (O, K, S) with inputs as in `kept`, and the shift (O,) of the outputs' mean that is left to a bias.

        Reference: Gram-based compensation, GRAIL (PMLR 328, 2026).
        """
        weight = self.weight if rows is None else self.weight.index_select(0, rows)
        if self.factor is not None:
            size = len(kept)
            inside, outside = weight[..., :size], weight[..., size:]
            pulled = outside @ self.factor[size:, :size]
            change = torch.linalg.solve_triangular(
                self.factor[:size, :size], pulled.flatten(0, 1), upper=False, left=False
            ).view_as(pulled)
            place = self.order[:size].argsort()
            mean = self.mean[:size]
        else:
            stays = torch.isin(self.order, kept)
            inside, outside = weight[..., stays], weight[..., ~stays]
            # GRS GSS⁻¹ by a direct solve: the kept set of a concatenation is no prefix
            solved = torch.linalg.solve(self.gram[stays][:, stays], self.gram[stays][:, ~stays]).T
            change = outside @ solved
            place = self.order[stays].argsort()
            mean = self.mean[stays]
        rebuilt = inside + change
        shift = weight.sum(1) @ self.mean - rebuilt.sum(1) @ mean
        return rebuilt.index_select(-1, place), shift


def prepare(
    consumer: Consumer, weight: Tensor, statistics: InputStatistics, orders: list[Ints], ridge: float = RIDGE
) -> Reconstruction:
    """Order and factor what `Reconstruction.rebuild` needs.

    Args:
        consumer: without convolution groups.
        weight: (C_out, C_in, ...) the dense weight.
        statistics: of its inputs.
        orders: for each coupling group its channels, best first.
        ridge: λ as a fraction of the mean diagonal of the Gram matrix; more where that is not enough for a factor.

    Raises:
        ModelError: the inputs are not finite.
    """
    positions = consumer.inputs.positions(orders)
    order = torch.from_numpy(np.lexsort((np.arange(len(positions)), positions))).to(weight.device)
    gram = statistics.gram(centred=consumer.absorbs_shift)[order][:, order]
    gram, factor = ridged_factor(gram, ridge, consumer.layer)
    prefix = consumer.inputs.sole_group is not None
    mean = statistics.mean[order] if consumer.absorbs_shift else torch.zeros_like(statistics.mean)
    return Reconstruction(
        order,
        weight.detach().flatten(2).movedim(1, 2)[..., order].float().contiguous()
        if weight.dim() > 2
        else weight.detach()[:, None, order].float().contiguous(),
        mean.float(),
        gram.float(),
        factor.float() if prefix else None,
    )


def ridged_factor(gram: Tensor, ridge: float, layer: str) -> tuple[Tensor, Tensor]:
    """The Gram matrix with its ridge, and the Cholesky factor; the ridge grows tenfold until there is one."""
    if not torch.isfinite(gram).all():
        raise ModelError(f"the inputs of `{layer}` are not finite on the calibration items; check weights and inputs")
    unit = torch.eye(len(gram)).to(gram)
    scale = float(gram.diagonal().mean()) + TINY
    while True:
        ridged = gram + ridge * scale * unit
        factor, failed = torch.linalg.cholesky_ex(ridged)
        if not failed:
            return ridged, factor
        ridge *= 10
