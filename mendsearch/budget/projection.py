"""The projection of any proposal to a candidate that fits the budget and uses it up."""

from __future__ import annotations

import itertools

import numpy as np

from mendsearch.budget.limits import Limits
from mendsearch.coupling.layout import Ints

TOLERANCE = 0.003
"""Fraction of the budget that may stay unused once no single step can be added; rows of a table are within 1%."""
FEW = 3
"""Coupling groups up to which the rest of the budget stays unused: most proposals would become a few structures."""
MAX_SWAPS = 200
SECTIONS = 7
"""Times that the range of multiples is divided by 64 in the search for the largest one that fits."""
MOVES = sorted(itertools.product((1, 2, 3), repeat=2), key=sum)
"""Steps that one coupling group gives up and another takes in one move; small moves first."""


def project(proposal: Ints, floor: Ints, limits: Limits) -> Ints:
    """Shrink and refill a proposal. Deterministic and idempotent.

    First, restorations shrink or grow in proportion. Then single steps are added where the restoration is the smallest
    part of what was proposed. Last, while more than `TOLERANCE` of the budget is unused, one of the coupling groups, if
    there are more than `FEW`, gives steps to another. A step is one channel, or as many as `limits.steps` says.

    Args:
        proposal: (G,) int64, keep counts.
        floor: (G,) int64, the smallest keep counts, in whole steps; they fit the budget.
        limits: the budget.

    Returns:
        (G,) int64, keep counts between `floor` and the dense widths, in whole steps.
    """
    widths, steps = limits.costs.coupling.widths, limits.steps
    wanted = np.clip(proposal, floor, widths) // steps * steps
    if limits.fits(wanted) and _settled(wanted, floor, limits):
        return wanted
    restored = (wanted - floor).astype(np.float64)
    if not restored.any():
        restored = (widths - floor).astype(np.float64)
    counts = _scale(restored, floor, limits)
    target = restored / max(1.0, restored.max())
    counts = _refill(counts, target, floor, limits)
    for _ in range(MAX_SWAPS):
        swapped = _swap(counts, floor, limits)
        if swapped is None:
            break
        counts = _refill(swapped, target, floor, limits)
    return counts


def _scale(restored: np.ndarray, floor: Ints, limits: Limits) -> Ints:
    """The largest multiple of the restorations that fits, rounded down to whole steps."""
    widths, steps = limits.costs.coupling.widths, limits.steps
    low, high = 0.0, float(np.max((widths - floor) / np.maximum(restored, 1e-9) * (restored > 0)))
    best = floor
    for _ in range(SECTIONS):
        multiples = np.linspace(low, high, 65)
        many = np.floor(restored * multiples[1:-1, None] / steps).astype(np.int64) * steps
        counts = np.minimum(floor + many, widths)
        over = limits.usage(counts) > 1
        first = int(np.argmax(over)) if over.any() else len(over)
        if first:
            best = counts[first - 1]
        low, high = multiples[first], multiples[first + 1]
    return best


def _refill(counts: Ints, target: np.ndarray, floor: Ints, limits: Limits) -> Ints:
    """Add single steps while one fits, each where the restoration is the smallest fraction of its target."""
    widths, one = limits.costs.coupling.widths, np.diag(limits.steps)
    while True:  # what did not fit may fit later: time falls where a width comes onto a step of the device
        open_ = (counts < widths) & (limits.usage(counts + one) <= 1)
        if not open_.any():
            return counts
        met = (counts - floor + limits.steps) / np.maximum(target, 1e-6)
        counts = counts + one[int(np.argmin(np.where(open_, met, np.inf)))]


def _swap(counts: Ints, floor: Ints, limits: Limits) -> Ints | None:
    """The smallest move of steps between two coupling groups that leaves at most `TOLERANCE` unused.

    Returns:
        (G,) int64. If no move does that, the one that leaves least unused; None if no move is needed or helps.
    """
    usage = float(limits.usage(counts))
    if 1 - usage <= TOLERANCE or len(counts) <= FEW:
        return None
    widths, steps, one = limits.costs.coupling.widths, limits.steps, np.diag(limits.steps)
    best, best_usage = None, usage + 1e-12
    for given, taken in MOVES:
        moved = counts + taken * one[None, :, :] - given * one[:, None, :]
        allowed = (counts - given * steps >= floor)[:, None] & (counts + taken * steps <= widths)[None, :] & (one == 0)
        usages = limits.usage(moved)
        usages = np.where(allowed & (usages <= 1), usages, -1.0)
        found = int(np.argmax(usages))
        if usages.flat[found] > best_usage:
            best, best_usage = moved.reshape(-1, len(counts))[found], float(usages.flat[found])
            if 1 - best_usage <= TOLERANCE:
                break
    return best


def _settled(counts: Ints, floor: Ints, limits: Limits) -> bool:
    addable = (counts < limits.costs.coupling.widths) & (limits.usage(counts + np.diag(limits.steps)) <= 1)
    return not addable.any() and _swap(counts, floor, limits) is None
