"""A criterion from the weights of batch norms."""

from __future__ import annotations

import numpy as np

from mendsearch.modes import BatchNorm
from mendsearch.ranking.base import Criterion, RankingInputs, Scores
from mendsearch.ranking.filters import L1


class BNScale(Criterion):
    """Sum of the magnitudes of the batch norms' weights, divided by the mean of the coupling group.

    A coupling group without a batch norm is ranked by `l1`.

    Reference: Liu et al., "Network Slimming", ICCV 2017.
    """

    name = "bn_scale"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        total = np.zeros(inputs.coupling.groups[index].width)
        for name, module in inputs.model.named_modules():
            if isinstance(module, BatchNorm) and module.affine:
                for _, layout in inputs.coupling.axes.get(f"{name}.weight", ()):
                    owned = layout.group == index
                    np.add.at(total, layout.unit[owned], module.weight.detach().abs().double().cpu().numpy()[owned])
        if not total.any():
            return L1().scores(inputs, index)
        scores: Scores = (total / total.mean()).astype(np.float32)
        return scores
