"""Error curves: the output error of the consumers at every keep count, computed before any trial."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mendsearch.budget import Floats, Limits
from mendsearch.coupling.copying import named_tensors
from mendsearch.coupling.layout import Consumer, Coupling, Ints
from mendsearch.ranking import FilterRanking
from mendsearch.ranking.statistics import InputStatistics
from mendsearch.reconstruction.channels import RIDGE, ridged_factor

STEPS = 48
"""Parts in which a coupling group gives up its channels."""


def error_curves(
    model: nn.Module,
    coupling: Coupling,
    ranking: FilterRanking,
    statistics: Mapping[str, InputStatistics],
    *,
    relative: bool = False,
) -> list[Floats]:
    """For each coupling group, (width + 1,) float64: the error of its consumers if 0 .. width channels stay.

    With x in rank order and L the Cholesky factor of its Gram matrix, the best linear prediction of all inputs from the
    first k leaves an error of Σ_{j≥k} L[:,j]ᵀ S L[:,j], summed over the consumers. All other coupling groups are
    complete. Where every consumer has a sensitivity, half of it is S, and the error is the divergence of the network's
    outputs to second order, in nats for probabilities. Otherwise, or with `relative`, S is WᵀW, and the error is
    relative to the energy of the consumer's outputs. Exact for 1x1 convolutions and linear layers.

    If no consumer of a coupling group was measured, its error is in proportion to the scores of the removed channels,
    and all of them together are worth as much as the median consumer.
    """
    found: list[list[Floats]] = [[] for _ in coupling.groups]
    state = named_tensors(model)
    consumers = [c for c in coupling.consumers if c.conv_groups == 1 and c.layer in statistics]
    comparable = not relative and all(statistics[consumer.layer].sensitivity is not None for consumer in consumers)
    for consumer in consumers:
        weight = state[f"{consumer.layer}.weight" if consumer.layer else "weight"].detach()
        felt = _felt(consumer, weight, statistics[consumer.layer], comparable)
        for index in np.unique(consumer.inputs.group[consumer.inputs.group >= 0]):
            found[index].append(_curve(consumer, int(index), felt, statistics[consumer.layer], ranking.orders))
    totals = [curve[0] for curves in found for curve in curves if curve[0] > 0]
    unit = float(np.median(totals)) if totals else 1.0
    return [
        np.sum(curves, axis=0) if curves else unit * _by_scores(scores)
        for curves, scores in zip(found, ranking.scores, strict=True)
    ]


def _felt(consumer: Consumer, weight: Tensor, statistics: InputStatistics, comparable: bool) -> Tensor:
    """(C_in, C_in) float64, S of the error δᵀ S δ that an error δ of the consumer's inputs is said to cause."""
    if comparable:
        assert statistics.sensitivity is not None
        return statistics.sensitivity / 2
    outputs = weight.flatten(2).movedim(1, 2).flatten(0, 1) if weight.dim() > 2 else weight
    squares = outputs.double().T @ outputs.double()
    return squares / max(float((squares * statistics.gram(centred=consumer.absorbs_shift)).sum()), 1e-30)


def _curve(consumer: Consumer, index: int, felt: Tensor, statistics: InputStatistics, orders: list[Ints]) -> Floats:
    layout, width = consumer.inputs, len(orders[index])
    positions = np.where(layout.group == index, layout.positions(orders), -1)
    order = torch.from_numpy(np.argsort(positions, kind="stable")).to(felt.device)
    gram = statistics.gram(centred=consumer.absorbs_shift)[order][:, order]
    _, factor = ridged_factor(gram, RIDGE, consumer.layer)
    energies = ((felt[order][:, order] @ factor) * factor).sum(0).clamp_min(0).cpu().numpy()
    lost = np.zeros(width + 1)
    owned = np.sort(positions)
    np.add.at(lost, owned[owned >= 0], energies[owned >= 0])
    return np.cumsum(lost[::-1])[::-1]


def _by_scores(scores: npt.NDArray[np.float32]) -> Floats:
    falling = np.sort(scores.astype(np.float64) - min(0.0, float(scores.min())))
    lost = np.concatenate([[0.0], np.cumsum(falling)])[::-1]
    return lost / max(float(lost[0]), 1e-30)


def by_curves(curves: list[Floats], limits: Limits, power: float, *, scale: float = 1.0) -> Ints:
    """Keep counts (G,) int64, at least 1, that fit `scale` times the budget at a small summed error.

    Starting from the dense network, the coupling group whose error grows least per cost saved gives up channels, again
    and again. Structures of the same power are nested.

    Args:
        curves: error curves of the coupling groups.
        limits: limits on the pruned network.
        power: exponent of the errors before they are summed; above 1, large errors weigh more.
        scale: fraction (0-1] of the budget to fit.
    """
    raised = [curve**power for curve in curves]
    counts = limits.costs.coupling.widths.copy()
    step = np.maximum(1, counts // STEPS)
    eye = np.eye(len(counts), dtype=np.int64)
    while limits.usage(counts, scale) > 1:
        after = np.maximum(counts - step, 1)
        grown = np.array([error[low] - error[high] for error, low, high in zip(raised, after, counts, strict=True)])
        saved = limits.usage(counts, scale) - limits.usage(np.where(eye, after, counts), scale)
        price = np.where(after < counts, grown / np.maximum(saved, 1e-12), np.inf)
        pick = int(np.argmin(price))
        if not np.isfinite(price[pick]):
            break
        counts[pick] = after[pick]
    return counts
