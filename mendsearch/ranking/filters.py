"""Criteria that look at the filters alone: what one channel's weights are worth, summed over its coupling group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


def over_filters(inputs: RankingInputs, index: int, worth: Callable[[str, Tensor], Tensor]) -> Scores:
    """(width,) float32: summed over the layers that put the channel out, over the mean, so that groups compare.

    Args:
        inputs: of the criterion.
        index: of the coupling group.
        worth: from a weight's name and its filters (C_out, inputs) to (C_out,) values.
    """
    group, state = inputs.coupling.groups[index], inputs.state()
    total = np.zeros(group.width)
    for name, output in group.outputs:
        for dim, layout in inputs.coupling.axes[name]:
            if dim == output:
                found = worth(name, state[name].movedim(dim, 0).flatten(1)).double().cpu().numpy()
                owned = layout.group == index
                np.add.at(total, layout.unit[owned], found[owned])
    scores: Scores = (total / max(total.mean(), 1e-12)).astype(np.float32)
    return scores


class L1(Criterion):
    """Sum of the magnitudes of a filter (Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017)."""

    name = "l1"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        return over_filters(inputs, index, lambda _, filters: filters.abs().sum(1))


class L2(Criterion):
    """Euclidean length of a filter (He et al., "Soft Filter Pruning", IJCAI 2018)."""

    name = "l2"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        return over_filters(inputs, index, lambda _, filters: filters.norm(dim=1))


class FPGM(Criterion):
    """Summed distance of a filter from the layer's others: near their median it can be replaced by them.

    Reference: He et al., "Filter Pruning via Geometric Median", CVPR 2019.
    """

    name = "fpgm"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        return over_filters(inputs, index, lambda _, filters: torch.cdist(filters, filters).sum(1))
