"""Structures that differ: near copies of one another are not worth a second fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mendsearch.budget import Floats
from mendsearch.coupling.layout import Ints

APART = 0.05
"""Mean relative difference of keep counts from which two structures are not copies of one another."""


def distance(first: Ints, second: Ints) -> float:
    """Mean over coupling groups of the difference between keep counts (G,), relative to the larger one; 0 to 1."""
    return float(distances(first, second[None])[0])


def distances(counts: Ints, others: Ints) -> Floats:
    """(n,), the distance of keep counts (G,) from each of others (n, G)."""
    larger = np.maximum(np.maximum(counts, others), 1)
    found: Floats = (np.abs(counts - others) / larger).mean(1)
    return found


def spread(candidates: Sequence[Ints], most: int, beside: Iterable[Ints] = ()) -> list[Ints]:
    """The first candidates that are apart from those before them.

    Where too few are apart, the best of the others fill the places.

    Args:
        candidates: keep counts (G,), best first.
        most: how many are wanted.
        beside: structures that take part anyway, from which candidates must differ too.
    """
    near, taken, copies = list(beside), [], []
    known = {tuple(counts) for counts in near}
    for counts in candidates:
        if all(distance(counts, other) >= APART for other in near):
            taken.append(counts)
            near.append(counts)
        elif tuple(counts) not in known:
            copies.append(counts)
        known.add(tuple(counts))
    return [*taken, *copies][:most]
