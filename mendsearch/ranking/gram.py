"""Greedy ranking by the output error of the consumers, from their input Gram matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mendsearch.coupling.layout import Consumer
from mendsearch.ranking.base import Criterion, RankingInputs, Scores
from mendsearch.ranking.l1 import L1

RIDGE = 1e-6


class Gram(Criterion):
    """Take, again and again, the channel that most lowers what the consumers cannot rebuild from those taken.

    For a consumer with weights W and input Gram matrix G, the error left by a kept set S with the best least-squares
    stand-in for the others is tr(M R), where M = Σ_k W_kᵀ W_k over kernel positions k and
    R = G - G[:,S] G[S,S]⁻¹ G[S,:]. Taking channel j lowers it by (R M R)_jj / R_jj, and one rank-one update of R M R
    makes the next pick: O(C²) a pick. Errors of the consumers are taken relative to the energy of their outputs.

    The score of a channel is the relative error left before it was taken, so scores fall along the order and compare
    between coupling groups. A coupling group without a consumer that can be measured is ranked by `l1`.

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

    Where one channel stands at several indices (flatten, conv groups) the matrices of the copies are summed.
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
    """Rows of the weight and, for every channel of the coupling group, its input index; one pair for each copy."""
    owned = np.flatnonzero(consumer.inputs.group == index)
    by_channel = owned[np.argsort(consumer.inputs.unit[owned], kind="stable")].reshape(width, -1)
    per_group = outputs // consumer.conv_groups
    for part in range(consumer.conv_groups):
        for copy in range(by_channel.shape[1]):
            yield (
                slice(part * per_group, (part + 1) * per_group),
                by_channel[:, copy] + part * len(consumer.inputs.group),
            )


def _greedy(problems: list[tuple[Tensor, Tensor]], width: int) -> Scores:
    """(width,) float32, the mean relative error left before each channel was taken."""
    least = [RIDGE * float(gram.diagonal().mean()) for gram, _ in problems]
    left = [gram + ridge * torch.eye(width).to(gram) for ridge, (gram, _) in zip(least, problems, strict=True)]
    pulls = [(r @ m @ r).diagonal().clone() for r, (_, m) in zip(left, problems, strict=True)]
    errors = [float((r * m).sum()) for r, (_, m) in zip(left, problems, strict=True)]
    first = sum(errors)
    free = torch.ones(width, dtype=torch.bool, device=left[0].device)
    scores = np.zeros(width, dtype=np.float32)
    for _ in range(width):
        scores[pick := _best(left, pulls, least, free)] = sum(errors) / first
        free[pick] = False
        for i, (_, weights) in enumerate(problems):
            residual = left[i]
            pivot = float(residual[pick, pick])
            if pivot <= 0:
                continue
            v = residual[:, pick].clone()
            mv = weights @ v
            vmv = float(v @ mv)
            pulls[i] = pulls[i] - 2 * v * (residual @ mv) / pivot + vmv * v * v / pivot**2
            errors[i] = max(0.0, errors[i] - vmv / pivot)
            left[i] = residual - torch.outer(v, v) / pivot
    return scores


def _best(left: list[Tensor], pulls: list[Tensor], least: list[float], free: Tensor) -> int:
    """The free channel whose taking lowers the summed error most."""
    parts = zip(left, pulls, least, strict=True)
    gain = torch.stack([pull / residual.diagonal().clamp(min=ridge) for residual, pull, ridge in parts]).sum(0)
    return int(torch.where(free, gain, -torch.inf).argmax())
