"""Criteria from the filters alone: a value of each filter, summed over the layers of its coupling group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


def over_filters(inputs: RankingInputs, index: int, worth: Callable[[str, Tensor], Tensor]) -> Scores:
    """(width,) float32: values summed over the layers that output the channel, divided by their mean.

    Args:
        inputs: inputs of the criterion.
        index: index of the coupling group.
        worth: function from the name of a layer's weight and its filters (C_out, inputs) to values (C_out,).
    """
    group, state = inputs.coupling.groups[index], inputs.state()
    total = np.zeros(group.width)
    for name, output in group.outputs:
        for dim, layout in inputs.coupling.axes[name]:
            if dim == output:
                exact = state[name].to(torch.promote_types(state[name].dtype, torch.float32))
                found = worth(name, exact.movedim(dim, 0).flatten(1)).double().cpu().numpy()
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
    """Summed distance of a filter from the layer's other filters; one near their median can be replaced by them.

    Reference: He et al., "Filter Pruning via Geometric Median", CVPR 2019.
    """

    name = "fpgm"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        return over_filters(inputs, index, lambda _, filters: torch.cdist(filters, filters).sum(1))
