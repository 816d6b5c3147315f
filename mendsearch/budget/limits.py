"""A budget in absolute numbers, and whether a candidate fits it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from mendsearch.budget.costs import CostModel
from mendsearch.budget.features import Floats
from mendsearch.config import Budget, is_latency
from mendsearch.coupling.grouping import EXCLUDED, held_whole
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.errors import BudgetError


class Limits:
    """A budget in absolute numbers, checked with the cost model.

    Args:
        budget: limits on the pruned network, each absolute or a fraction of the dense network.
        costs: cost model of the network.
        multiple: number that keep counts are multiples of, in coupling groups whose dense width is a multiple of it.

    Attributes:
        steps: (G,) int64, the number that keep counts are multiples of, and the smallest keep count.
        absolute: limits in absolute numbers, by cost.
        dense: costs of the dense network, of which a limit may be a fraction; its latency as it was measured.

    Raises:
        BudgetError: no candidate can meet the budget, or the dense network already does.
    """

    def __init__(self, budget: Budget, costs: CostModel, multiple: int = 1) -> None:
        self.costs = costs
        widths = costs.coupling.widths
        self.steps: Ints = costs.coupling.steps(multiple)
        dense, least = (_one(costs, counts, budget.limits()) for counts in (widths, self.steps))
        self.dense = dense
        measured = {name: model.dense_ms for name, model in costs.latencies.items()}
        dense.update({name: ms for name, ms in measured.items() if ms is not None})
        self.absolute = budget.absolute(dense)
        for name, value in self.absolute.items():
            given = f"budget {budget.said(name)}"
            if value > dense[name]:
                raise BudgetError(f"{given} is above the dense network's {_said(name, dense[name])}; ask for less")
            if value < least[name] and is_latency(name) and least[name] >= dense[name]:
                raise BudgetError(
                    f"{given} cannot be met: by the latency model no pruned network is faster than the dense one, "
                    f"{_said(name, dense[name])}; try another runtime, or more items of a pass"
                )
            if value < least[name]:
                raise BudgetError(
                    f"{given} cannot be met: {'one channel' if multiple == 1 else f'{multiple} channels'} in every "
                    f"coupling group still costs {_at_least(name, least[name], dense[name])}; "
                    f"ask for that or more{'' if multiple == 1 else ', or lower the multiple'}{_whole(costs.coupling)}"
                )
        if all(dense[name] <= value for name, value in self.absolute.items()):
            raise BudgetError("the dense network already meets the budget; ask for less than a fraction of 1")

    def usage(self, counts: Ints, scale: float = 1.0) -> Floats:
        """Cost divided by limit, for the limit that is tightest; a candidate fits if it is at most 1.

        Args:
            counts: (..., G) int64.
            scale: factor applied to the limits.
        """
        costs = self.costs.costs(counts, self.absolute)
        return np.max([costs[name] / (limit * scale) for name, limit in self.absolute.items()], axis=0)  # type: ignore[no-any-return]

    def fits(self, counts: Ints) -> bool:
        """Whether a candidate (G,) meets every limit."""
        return bool(self.usage(counts) <= 1)


def _whole(coupling: Coupling) -> str:
    """What stays whole, and what can be done for it; empty if that is the outputs alone."""
    excluded = any(reason.startswith(EXCLUDED) for reason in coupling.whole.values())
    others = list(held_whole(coupling))
    fewer = ", or exclude fewer layers" if excluded else ""
    if not others:
        return fewer
    some = f"`{others[0]}`: {coupling.whole[others[0]]}"
    return f"{fewer}; {len(others)} layers beside the outputs stay whole, such as {some}"


def _one(costs: CostModel, counts: Ints, quantities: Iterable[str]) -> dict[str, float]:
    """Costs of one candidate; those that are counted are whole numbers."""
    found = {name: float(value) for name, value in costs.costs(counts, quantities).items()}
    return {name: value if is_latency(name) else round(value) for name, value in found.items()}


def _at_least(name: str, least: float, dense: float) -> str:
    """The least cost, as a limit that is met: rounded up, in milliseconds and percent or absolute and as a fraction."""
    if is_latency(name):
        digits = 2 - math.floor(math.log10(least))
        ms = math.ceil(least * 10**digits) / 10**digits
        return f"{ms:.10g} ms, {math.ceil(1000 * least / dense) / 10:.1f}% of the dense network's time"
    return f"{_said(name, least)}, {math.ceil(10_000 * least / dense) / 10_000:.4f} of the dense {name}"


def _said(name: str, value: float) -> str:
    return f"{value:.3g} ms" if is_latency(name) else f"{value:,}"
