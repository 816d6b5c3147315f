"""Random ranking: the control that any criterion must beat."""

from __future__ import annotations

import numpy as np

from mendsearch.ranking.base import Criterion, RankingInputs, Scores


class Random(Criterion):
    """Scores drawn evenly from 0-1 by the seed."""

    name = "random"

    def scores(self, inputs: RankingInputs) -> tuple[Scores, ...]:
        generator = np.random.default_rng(inputs.seed)
        return tuple(generator.random(group.width).astype(np.float32) for group in inputs.coupling.groups)
