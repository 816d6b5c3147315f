"""Sum of the magnitudes of a filter (Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017)."""

from __future__ import annotations

import numpy as np

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


class L1(Criterion):
    """Summed over the layers that put the channel out, over the mean of the coupling group, so that groups compare."""

    name = "l1"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        group, state = inputs.coupling.groups[index], inputs.state()
        total = np.zeros(group.width)
        for layer in group.layers:
            name = f"{layer}.weight" if layer else "weight"
            transposed = getattr(inputs.model.get_submodule(layer), "transposed", False)
            for dim, layout in inputs.coupling.axes[name]:
                if dim == int(transposed):
                    others = [d for d in range(state[name].dim()) if d != dim]
                    magnitudes = state[name].abs().sum(others).double().cpu().numpy()
                    owned = layout.group == index
                    np.add.at(total, layout.unit[owned], magnitudes[owned])
        scores: Scores = (total / max(total.mean(), 1e-12)).astype(np.float32)
        return scores
