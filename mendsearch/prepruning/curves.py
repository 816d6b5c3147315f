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
) -> list[Floats]:
    """For each coupling group, (width + 1,) float64: the output error of its consumers if 0 .. width channels stay.

    With x in rank order and L the Cholesky factor of its Gram matrix, the best linear prediction of all inputs from the
    first k leaves an output error of Σ_{j≥k} ‖W L[:,j]‖². Errors are relative to the energy of the outputs and summed
    over the consumers. All other coupling groups are complete. Exact for 1x1 convolutions and linear layers.

    If no consumer of a coupling group was measured, its error is the sum of the scores of the removed channels.
    """
    found: list[list[Floats]] = [[] for _ in coupling.groups]
    state = named_tensors(model)
    for consumer in coupling.consumers:
        if consumer.conv_groups > 1 or consumer.layer not in statistics:
            continue
        weight = state[f"{consumer.layer}.weight" if consumer.layer else "weight"].detach()
        for index in np.unique(consumer.inputs.group[consumer.inputs.group >= 0]):
            found[index].append(_curve(consumer, int(index), weight, statistics[consumer.layer], ranking.orders))
    return [
        np.sum(curves, axis=0) if curves else _by_scores(scores)
        for curves, scores in zip(found, ranking.scores, strict=True)
    ]


def _curve(consumer: Consumer, index: int, weight: Tensor, statistics: InputStatistics, orders: list[Ints]) -> Floats:
    layout, width = consumer.inputs, len(orders[index])
    positions = np.where(layout.group == index, layout.positions(orders), -1)
    order = torch.from_numpy(np.argsort(positions, kind="stable")).to(weight.device)
    gram = statistics.gram(centred=consumer.absorbs_shift)[order][:, order]
    _, factor = ridged_factor(gram, RIDGE, consumer.layer)
    outputs = weight.flatten(2).movedim(1, 2).flatten(0, 1) if weight.dim() > 2 else weight
    energies = (outputs[:, order].double() @ factor).square().sum(0).cpu().numpy()
    lost = np.zeros(width + 1)
    owned = np.sort(positions)
    np.add.at(lost, owned[owned >= 0], energies[owned >= 0])
    return np.cumsum(lost[::-1])[::-1] / max(float(energies.sum()), 1e-30)


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
