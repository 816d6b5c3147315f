"""Structures drawn at random: what the budget alone is worth, without any knowledge of the network."""

from __future__ import annotations

import numpy as np

from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space


def random_structures(space: Space, count: int, seed: int) -> list[Ints]:
    """Restorations drawn uniformly between none and the dense width, and projected onto the budget.

    The draws depend on the space and the seed only, in any process.

    Args:
        space: search space.
        count: how many are drawn; two of them may be the same structure.
        seed: seed of the draws.

    Returns:
        keep counts, each (G,) int64.
    """
    generator = np.random.default_rng(seed)
    room = space.coupling.widths - space.floor
    return [space.project(space.floor + generator.integers(0, room + 1)) for _ in range(count)]
