"""What a study knows of its candidates, as arrays that grow with it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from optuna.study import Study
from optuna.trial import TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space

Floats = npt.NDArray[np.float64]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class History:
    """The finished trials of one study, read once each; nothing is kept that the study does not hold.

    Args:
        space: of the search.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._seen: set[int] = set()
        self._counts: list[Ints] = []
        self._values: list[float] = []
        self._known: set[tuple[int, ...]] = set()

    def read(self, study: Study, but: int) -> tuple[Ints, Floats]:
        """Keep counts (n, G) and scores (n,) of the finished trials.

        Args:
            study: the same study in every call.
            but: number of the trial that asks.
        """
        self._running: set[tuple[int, ...]] = set()
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._seen or trial.number == but or not trial.params:
                continue
            if any(name not in trial.params for name in self._space.names):
                continue
            counts = self._space.counts(trial.params)
            if not trial.state.is_finished():
                self._running.add(tuple(counts))
                continue
            self._seen.add(trial.number)
            if trial.state in FINISHED and trial.value is not None and math.isfinite(trial.value):
                self._counts.append(counts)
                self._values.append(trial.value)
                self._known.add(tuple(counts))
        if not self._counts:
            return np.zeros((0, len(self._space.names)), dtype=np.int64), np.zeros(0)
        return np.array(self._counts), np.array(self._values)

    def holds(self, counts: Ints) -> bool:
        """Whether a candidate (G,) was scored, or is being scored, at the last `read`."""
        key = tuple(counts)
        return key in self._known or key in self._running
