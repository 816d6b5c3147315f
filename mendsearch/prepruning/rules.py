"""Pre-pruning: rules that turn a filter ranking and a budget into keep counts, without any search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mendsearch.budget import Floats, Limits, project
from mendsearch.config import RuleName
from mendsearch.coupling.layout import Ints
from mendsearch.prepruning.curves import by_curves
from mendsearch.ranking.base import FilterRanking

POWER = 1.5
"""Exponent of the error curves; docs/results/scoring.md compares several."""
Rule = Callable[[float], Ints]


def cut(name: RuleName, ranking: FilterRanking, curves: list[Floats], limits: Limits, *, scale: float = 1.0) -> Ints:
    """The largest structure of a rule that fits `scale` times the budget, with at least one channel everywhere.

    `curves` removes channels where the error curves grow least per cost saved. `uniform` keeps the same fraction of
    every coupling group. `global` keeps the channels whose score is above one threshold, and the best channel of each
    coupling group. Structures of the same rule are nested: with a smaller `scale`, no coupling group keeps more.

    Args:
        name: name of the rule.
        ranking: filter ranking, whose scores are comparable between coupling groups.
        curves: error curves of the coupling groups.
        limits: limits on the pruned network.
        scale: fraction (0-1] of the budget to fit.

    Returns:
        (G,) int64, keep counts; all ones if even the smallest structure costs more.
    """
    if name == "curves":
        return by_curves(curves, limits, POWER, scale=scale)
    widths = limits.costs.coupling.widths
    by_rule = _uniform(widths) if name == "uniform" else _global(ranking)
    low, high, best = 0.0, 1.0, np.ones_like(widths)
    for _ in range(50):
        middle = (low + high) / 2
        counts = by_rule(middle)
        if float(limits.usage(counts, scale)) <= 1:
            low, best = middle, counts
        else:
            high = middle
    return best


def pre_prune(name: RuleName, ranking: FilterRanking, curves: list[Floats], limits: Limits) -> Ints:
    """The rule cut at the budget, projected so that the budget is used up: (G,) int64."""
    return project(cut(name, ranking, curves, limits), limits.steps, limits)


def _uniform(widths: Ints) -> Rule:
    return lambda kept: np.maximum(1, np.floor(kept * widths + 1e-9)).astype(np.int64)


def _global(ranking: FilterRanking) -> Rule:
    every = np.sort(np.concatenate(ranking.scores))[::-1]

    def keep(kept: float) -> Ints:
        threshold = every[min(len(every) - 1, int(kept * len(every)))]
        return np.array([max(1, int((scores > threshold).sum())) for scores in ranking.scores], dtype=np.int64)

    return keep
