"""A greedy criterion from the output error of the consumers, computed with their input Gram matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mendsearch.coupling.layout import Consumer
from mendsearch.ranking.base import Criterion, RankingInputs, Scores
from mendsearch.ranking.filters import L1

RIDGE = 1e-6
BLOCKS = 128
"""Rounds in which a wide coupling group is ranked."""


class Gram(Criterion):
    """Greedily take the channel that most reduces the error of the consumers, given the channels taken so far.

    For a consumer with weights W and input Gram matrix G, the error left by a kept set S, with the best least-squares
    prediction of the others, is tr(M R), where M = Σ_k W_kᵀ W_k over kernel positions k and
    R = G - G[:,S] G[S,S]⁻¹ G[S,:]. Taking channel j reduces it by (R M R)_jj / R_jj, and one rank-one update of R M R
    prepares the next pick: O(C²) per pick. Errors are relative to the energy of the consumer's outputs.

    The score of a channel is the relative error left before it was taken, so scores decrease along the order and are
    comparable between coupling groups. A coupling group without a consumer that was measured is ranked by `l1`.

    Reference: forward selection by the residual, as in ThiNet (Luo et al., ICCV 2017), with M in place of one sample
    of outputs.
    """

    name = "gram"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        width = inputs.coupling.groups[index].width
        problems = list(_problems(inputs, index, width))
        if problems:
            return _greedy(problems, width)
        by_magnitude = L1().scores(inputs, index)
        relative: Scores = by_magnitude / max(np.float32(1e-12), by_magnitude.max())
        return relative


def _problems(inputs: RankingInputs, index: int, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(G, M), each (width, width) float64, of every consumer that reads the coupling group.

    If one channel is at several indices (flatten, conv groups), the matrices of its copies are summed.
    """
    for consumer in inputs.coupling.consumers:
        statistics = inputs.statistics.get(consumer.layer)
        if statistics is None or not (consumer.inputs.group == index).any():
            continue
        gram = statistics.gram(centred=consumer.absorbs_shift)
        weight = inputs.state()[f"{consumer.layer}.weight" if consumer.layer else "weight"].double()
        total_gram, total_weights = gram.new_zeros(width, width), gram.new_zeros(width, width)
        for rows, columns in _copies(consumer, index, width, len(weight)):
            part = weight[rows].flatten(2) if weight.dim() > 2 else weight[rows, :, None]
            local = part[:, columns % part.shape[1]]
            places = torch.as_tensor(columns)
            total_gram += gram[places][:, places]
            total_weights += torch.einsum("ock,odk->cd", local, local)
        energy = float((total_weights * total_gram).sum())
        if energy > 0:
            yield total_gram, total_weights / energy


def _copies(consumer: Consumer, index: int, width: int, outputs: int) -> Iterator[tuple[slice, np.ndarray]]:
    """For each copy, rows of the weight and the input index of every channel of the coupling group."""
    owned = np.flatnonzero(consumer.inputs.group == index)
    by_channel = owned[np.argsort(consumer.inputs.unit[owned], kind="stable")].reshape(width, -1)
    per_group = outputs // consumer.conv_groups
    for part in range(consumer.conv_groups):
        for copy in range(by_channel.shape[1]):
            yield (
                slice(part * per_group, (part + 1) * per_group),
                by_channel[:, copy] + part * len(consumer.inputs.group),
            )


class _Problem:
    """One consumer while channels are taken: the residual Gram matrix R = G - V Vᵀ, which is never formed.

    Args:
        gram: (C, C) float64, G; a small ridge is added.
        weights: (C, C) float64, M.
    """

    def __init__(self, gram: Tensor, weights: Tensor) -> None:
        width, self._weights = len(gram), weights
        self._least = RIDGE * float(gram.diagonal().mean())
        self._gram = gram + self._least * torch.eye(width).to(gram)
        self._taken, self._count = torch.empty_like(gram), 0
        self._left = self._gram.diagonal().clone()
        moved = self._gram @ weights
        self._pulls = (moved * self._gram).sum(1)
        self.error = float((self._gram * weights).sum())

    def gains(self) -> Tensor:
        """(C,), the amount by which taking each channel would reduce the error."""
        return self._pulls / self._left.clamp(min=self._least)

    def among(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """R and R M R between `chosen` channels, each (n, n)."""
        taken = self._taken[:, : self._count]
        self._columns = self._gram[:, chosen] - taken @ taken[chosen].T
        return self._columns[chosen], self._columns.T @ (self._weights @ self._columns)

    def lower(self, residual: Tensor, pulled: Tensor, pick: int) -> tuple[Tensor, Tensor]:
        """The matrices of `among`, and the error, after one of the channels is taken."""
        pivot = residual[pick, pick].clamp(min=self._least)
        column, pull, own = residual[:, pick] / pivot, pulled[:, pick], pulled[pick, pick]
        self.error = max(0.0, self.error - float(own / pivot))
        crossed = torch.outer(pull, column)
        return (
            residual - pivot * torch.outer(column, column),
            pulled - crossed - crossed.T + own * torch.outer(column, column),
        )

    def take(self, chosen: Tensor, places: list[int]) -> None:
        """Take `chosen` channels, at `places` of the argument of `among`: R loses what they explain."""
        columns, taken = self._columns[:, places], self._taken[:, : self._count]
        unit = torch.eye(len(chosen)).to(columns)
        factor, failed = torch.linalg.cholesky_ex(columns[chosen] + 1e-3 * self._least * unit)
        if failed:  # copies of channels that were taken already: they explain nothing more
            return
        new = torch.linalg.solve_triangular(factor, columns.T, upper=False).T
        moved = self._weights @ new
        inner = new.T @ moved
        pulled = self._gram @ moved - taken @ (taken.T @ moved)
        self._pulls = self._pulls - 2 * (new * pulled).sum(1) + ((new @ inner) * new).sum(1)
        self._left = self._left - new.square().sum(1)
        self._taken[:, self._count : self._count + len(chosen)] = new
        self._count += len(chosen)


def _greedy(problems: list[tuple[Tensor, Tensor]], width: int) -> Scores:
    """(width,) float32, the mean relative error left before each channel was taken.

    Wide coupling groups take several channels at a time from those with the largest gains; among these, the choice is
    exact.
    """
    parts = [_Problem(gram, weights) for gram, weights in problems]
    block = max(1, width // BLOCKS)
    first = sum(part.error for part in parts)
    free = torch.ones(width, dtype=torch.bool, device=problems[0][0].device)
    scores = np.zeros(width, dtype=np.float32)
    while free.any():
        gains = torch.where(free, torch.stack([part.gains() for part in parts]).sum(0), -torch.inf)
        picks = min(block, int(free.sum()))
        near = gains.topk(min(int(free.sum()), 2 * block if block > 1 else 1)).indices
        local = [part.among(near) for part in parts]
        chosen: list[int] = []
        for _ in range(picks):
            worth = sum(
                pulled.diagonal() / residual.diagonal().clamp(min=part._least)
                for part, (residual, pulled) in zip(parts, local, strict=True)
            )
            assert isinstance(worth, Tensor)
            worth[chosen] = -torch.inf
            pick = int(worth.argmax())
            scores[int(near[pick])] = sum(part.error for part in parts) / first
            chosen.append(pick)
            local = [part.lower(*state, pick) for part, state in zip(parts, local, strict=True)]
        taken = near[chosen]
        free[taken] = False
        for part in parts:
            part.take(taken, chosen)
    return scores
