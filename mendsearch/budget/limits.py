"""A budget in absolute numbers, and whether a candidate fits it."""

from __future__ import annotations

import numpy as np

from mendsearch.budget.costs import CostModel, Floats
from mendsearch.config import Budget
from mendsearch.coupling.layout import Ints
from mendsearch.errors import BudgetError


class Limits:
    """A budget in absolute numbers, held against the cost model.

    Args:
        budget: fractions up to 1, absolute above.
        costs: the cost model.
        multiple: keep counts are multiples of it, in coupling groups whose dense width is one.

    Attributes:
        steps: (G,) int64, what a keep count is a multiple of; also the least that stays.
        absolute: by cost.

    Raises:
        BudgetError: no candidate can meet it, or the dense network meets it already, or asks for more than that.
    """

    def __init__(self, budget: Budget, costs: CostModel, multiple: int = 1) -> None:
        self.costs = costs
        widths = costs.coupling.widths
        self.steps: Ints = np.where(widths % multiple == 0, multiple, 1)
        dense, least = costs.cost(widths), costs.cost(self.steps)
        self.absolute = {name: value * dense[name] if value <= 1 else value for name, value in budget.limits().items()}
        for name, value in self.absolute.items():
            given = f"budget {name}={budget.limits()[name]:g}"
            if value > dense[name]:
                raise BudgetError(f"{given} is above the dense network's {dense[name]:,}; ask for less")
            if value < least[name]:
                raise BudgetError(
                    f"{given} cannot be met: {'one channel' if multiple == 1 else f'{multiple} channels'} in every "
                    f"coupling group still costs {least[name]:,}, {least[name] / dense[name]:.4f} of the dense {name}; "
                    f"ask for that or more, or exclude fewer layers{'' if multiple == 1 else ', or lower the multiple'}"
                )
        if all(dense[name] <= value for name, value in self.absolute.items()):
            raise BudgetError("the dense network meets the budget already; ask for less than a fraction of 1")

    def usage(self, counts: Ints, scale: float = 1.0) -> Floats:
        """Cost over limit of the limit that binds most; at most 1 fits.

        Args:
            counts: (..., G) int64.
            scale: the limits are multiplied by it.
        """
        costs = self.costs.costs(counts, self.absolute)
        return np.max([costs[name] / (limit * scale) for name, limit in self.absolute.items()], axis=0)  # type: ignore[no-any-return]

    def fits(self, counts: Ints) -> bool:
        """Whether a candidate (G,) meets every limit."""
        return bool(self.usage(counts) <= 1)
