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
    model: nn.Module, coupling: Coupling, ranking: FilterRanking, statistics: Mapping[str, InputStatistics]
) -> list[list[Floats]]:
    """All kinds of error curves: those in nats, where every consumer has a sensitivity, then the relative ones.

    A kind has a curve for each coupling group, (width + 1,) float64: the error of its consumers if 0 .. width channels
    stay. With x in rank order and L the Cholesky factor of its Gram matrix, the best linear prediction of all inputs
    from the first k leaves an error of Σ_{j≥k} L[:,j]ᵀ S L[:,j], summed over the consumers. All other coupling groups
    are complete. In nats, S is half of the sensitivity, and the error is the divergence of the network's outputs to
    second order. Relative to the energy of the consumer's outputs, S is WᵀW. Exact for 1x1 convolutions and linear
    layers.

    If no consumer of a coupling group was measured, its error is in proportion to the scores of the removed channels,
    and all of them together are worth as much as the median consumer.
    """
    state = named_tensors(model)
    consumers = [c for c in coupling.consumers if c.conv_groups == 1 and c.layer in statistics]
    comparable = bool(consumers) and all(statistics[consumer.layer].sensitivity is not None for consumer in consumers)
    kinds: list[list[list[Floats]]] = [[[] for _ in coupling.groups] for _ in range(1 + comparable)]
    for consumer in consumers:
        found = statistics[consumer.layer]
        weight = state[f"{consumer.layer}.weight" if consumer.layer else "weight"].detach()
        felt = [_relative(consumer, weight, found)]
        if comparable:
            assert found.sensitivity is not None
            felt.insert(0, found.sensitivity / 2)
        for index in np.unique(consumer.inputs.group[consumer.inputs.group >= 0]):
            curves = _curves(consumer, int(index), felt, found, ranking.orders)
            for kind, curve in zip(kinds, curves, strict=True):
                kind[index].append(curve)
    return [_summed(kind, ranking) for kind in kinds]


def _summed(kind: list[list[Floats]], ranking: FilterRanking) -> list[Floats]:
    """Curves of coupling groups from those of their consumers."""
    totals = [curve[0] for curves in kind for curve in curves if curve[0] > 0]
    unit = float(np.median(totals)) if totals else 1.0
    return [
        np.sum(curves, axis=0) if curves else unit * _by_scores(scores)
        for curves, scores in zip(kind, ranking.scores, strict=True)
    ]


def _relative(consumer: Consumer, weight: Tensor, statistics: InputStatistics) -> Tensor:
    """(C_in, C_in) float64, WᵀW over the energy of the outputs."""
    outputs = weight.flatten(2).movedim(1, 2).flatten(0, 1) if weight.dim() > 2 else weight
    squares = outputs.double().T @ outputs.double()
    return squares / max(float((squares * statistics.gram(centred=consumer.absorbs_shift)).sum()), 1e-30)


def _curves(
    consumer: Consumer, index: int, felt: list[Tensor], statistics: InputStatistics, orders: list[Ints]
) -> list[Floats]:
    """For each S of `felt`, (C_in, C_in) float64, the curve of one coupling group that the consumer reads."""
    layout, width = consumer.inputs, len(orders[index])
    positions = np.where(layout.group == index, layout.positions(orders), -1)
    order = torch.from_numpy(np.argsort(positions, kind="stable")).to(felt[0].device)
    gram = statistics.gram(centred=consumer.absorbs_shift)[order][:, order]
    _, factor = ridged_factor(gram, RIDGE, consumer.layer)
    owned, found = np.sort(positions), []
    for matrix in felt:
        energies = ((matrix[order][:, order] @ factor) * factor).sum(0).clamp_min(0).cpu().numpy()
        lost = np.zeros(width + 1)
        np.add.at(lost, owned[owned >= 0], energies[owned >= 0])
        found.append(np.cumsum(lost[::-1])[::-1])
    return found


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
