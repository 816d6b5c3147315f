"""The space of a search: restorations above the floor, and the candidates that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from mendsearch.budget import Limits, project
from mendsearch.coupling.layout import Ints

PREFIX = "restore/"


class Space:
    """Between a trial's parameters `restore/<coupling group>` and keep counts.

    Args:
        floor: (G,) int64, the structure from which mending starts, cut to whole steps; it fits the budget.
        limits: the budget, and the steps.
    """

    def __init__(self, floor: Ints, limits: Limits) -> None:
        stepped: Ints = np.maximum(floor // limits.steps, 1) * limits.steps
        self.floor, self.limits = stepped if limits.fits(stepped) else limits.steps, limits
        self.coupling = limits.costs.coupling
        self.names = [PREFIX + name for name in self.coupling.names]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The search space in Optuna's terms: for every coupling group 0 .. width - floor channels, in whole steps."""
        rooms = self.coupling.widths - self.floor
        return {
            name: IntDistribution(0, int(room), step=int(step))
            for name, room, step in zip(self.names, rooms, self.limits.steps, strict=True)
        }

    def params(self, counts: Ints) -> dict[str, Any]:
        """A trial's parameters of keep counts (G,) that are at or above the floor."""
        return {name: int(value) for name, value in zip(self.names, counts - self.floor, strict=True)}

    def counts(self, params: Mapping[str, Any]) -> Ints:
        """Keep counts (G,) int64 of a trial's parameters."""
        return self.floor + np.array([params[name] for name in self.names], dtype=np.int64)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial's parameters are those of a candidate: others may be at work in the study too."""
        return set(params) == set(self.names)

    def project(self, counts: Ints) -> Ints:
        """The candidate that a proposal (G,) stands for: it fits the budget and leaves none unused."""
        return project(counts, self.floor, self.limits)
