"""Random moves of restorations between coupling groups, along the budget."""

from __future__ import annotations

import numpy as np

from mendsearch.budget import Floats
from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space

ROUNDS = 5
"""Iterations that scale a structure to the budget; usage is close to quadratic in the restorations."""


def moved(parents: Ints, space: Space, generator: np.random.Generator, size: float | None = None) -> Floats:
    """For each parent (m, G), a structure (m, G), not rounded, with some channels moved between coupling groups.

    One to three coupling groups gain or lose a random part of their width; then all restorations are scaled so that the
    structure meets the budget.

    Args:
        parents: (m, G) int64, keep counts.
        space: search space.
        generator: of the draws.
        size: standard deviation of a move as a fraction of the dense width; drawn for each structure if None.
    """
    widths, floor = space.coupling.widths, space.floor
    amount, groups = parents.shape
    sizes = 2.0 ** -generator.uniform(0.5, 5.5, amount) if size is None else np.full(amount, size)
    many = generator.integers(1, 4, size=(amount, 1))
    chosen = generator.random((amount, groups)).argsort(1) < many
    changes = chosen * generator.normal(size=(amount, groups)) * sizes[:, None] * widths
    changes = np.where(chosen, np.sign(changes) * np.maximum(space.limits.steps, np.abs(changes)), 0.0)
    room = np.maximum(widths - floor, 0)
    restored = np.clip(parents - floor + changes, 0, room)
    base = float(space.limits.usage(floor))
    for _ in range(ROUNDS):
        usage = space.limits.usage(floor + restored)
        factor = np.sqrt(np.maximum(1 - base, 1e-6) / np.maximum(usage - base, 1e-6))
        restored = np.clip(restored * factor[:, None], 0, room)
    return floor + restored  # type: ignore[no-any-return]
