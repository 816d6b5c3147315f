"""The search space: restorations above the floor, and the candidates that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from mendsearch.budget import Limits, project
from mendsearch.coupling.layout import Ints

PREFIX = "restore/"


class Space:
    """Converts between a trial's parameters `restore/<coupling group>` and keep counts.

    Args:
        floor: (G,) int64, structure from which mending starts; rounded down to whole steps, it fits the budget.
        limits: limits on the pruned network, and the steps.
    """

    def __init__(self, floor: Ints, limits: Limits) -> None:
        stepped: Ints = np.maximum(floor // limits.steps, 1) * limits.steps
        self.floor, self.limits = stepped if limits.fits(stepped) else limits.steps, limits
        self.coupling = limits.costs.coupling
        self.names = [PREFIX + name for name in self.coupling.names]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The search space as Optuna's distributions: for every coupling group 0 .. width - floor, in whole steps."""
        rooms = self.coupling.widths - self.floor
        return {
            name: IntDistribution(0, int(room), step=int(step))
            for name, room, step in zip(self.names, rooms, self.limits.steps, strict=True)
        }

    def params(self, counts: Ints) -> dict[str, Any]:
        """A trial's parameters for keep counts (G,), which are at or above the floor."""
        return {name: int(value) for name, value in zip(self.names, counts - self.floor, strict=True)}

    def counts(self, params: Mapping[str, Any]) -> Ints:
        """Keep counts (G,) int64 for a trial's parameters."""
        return self.floor + np.array([params[name] for name in self.names], dtype=np.int64)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial's parameters are those of this space; a stock optimizer may add other trials to the study."""
        return set(params) == set(self.names)

    def project(self, counts: Ints) -> Ints:
        """The candidate for a proposal (G,): it fits the budget and uses it up."""
        return project(counts, self.floor, self.limits)
