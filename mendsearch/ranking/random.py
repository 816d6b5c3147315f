"""A random criterion: the control that any other must beat."""

from __future__ import annotations

import numpy as np

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


class Random(Criterion):
    """Scores drawn uniformly from 0-1."""

    name = "random"

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        width = inputs.coupling.groups[index].width
        return np.random.default_rng((inputs.seed, index)).random(width).astype(np.float32)
