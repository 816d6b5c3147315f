"""Structures whose times teach most: of every cost, even and uneven, on the device's steps and off them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch import nn

from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned

MULTIPLES = (1, 1, 4, 8, 16, 32)
"""Numbers that the keep counts of a structure are multiples of, drawn with these odds."""
LEAST = 0.1
"""Fraction of the channels of a coupling group, at least."""


def random_structures(coupling: Coupling, seed: int) -> Iterator[Ints]:
    """Structures without end, each (G,) int64, none twice.

    A third keeps the same fraction of every coupling group; the others depart from it, a little or wholly.
    """
    rng, widths, seen = np.random.default_rng(seed), coupling.widths, {tuple(coupling.widths)}
    while True:
        for _ in range(1000):
            middle, spread = rng.uniform(LEAST, 1), rng.choice([0.0, 0.2, 0.5])
            parts = np.clip(middle + spread * rng.uniform(-1, 1, len(widths)), LEAST, 1)
            counts = _rounded(parts * widths, widths, coupling.steps(int(rng.choice(MULTIPLES))))
            if tuple(counts) not in seen:
                break
        else:
            return  # a network of few structures
        seen.add(tuple(counts))
        yield counts


def _rounded(kept: np.ndarray, widths: Ints, steps: Ints) -> Ints:
    counts: Ints = np.clip(np.round(kept / steps).astype(np.int64) * steps, steps, widths)
    return counts


def builder(model: nn.Module, coupling: Coupling) -> Callable[[Ints], nn.Module]:
    """What makes the network of a structure, by slices of the dense one; which channels stay does not matter here."""
    slicer = Slicer(model, coupling, [np.arange(width) for width in coupling.widths])

    def build(counts: Ints) -> nn.Module:
        state = slicer.slice(counts)
        return build_pruned(model, state, slicer.sizes(state)).eval()

    return build
