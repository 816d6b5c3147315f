"""Random ranking: the control that any criterion must beat."""

from __future__ import annotations

import numpy as np

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


class Random(Criterion):
    """Scores drawn evenly from 0-1 by the seed."""

    name = "random"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        width = inputs.coupling.groups[index].width
        return np.random.default_rng((inputs.seed, index)).random(width).astype(np.float32)
