"""The candidates of a study, as arrays that grow with it."""

from __future__ import annotations

import math

import numpy as np
from optuna.study import Study
from optuna.trial import TrialState

from mendsearch.budget import Floats
from mendsearch.coupling.layout import Ints
from mendsearch.mending.distance import distances
from mendsearch.mending.space import Space

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class History:
    """The finished trials of one study, each read once.

    Args:
        space: search space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._seen: set[int] = set()
        self._settled = 0
        self._counts: Ints = np.zeros((0, len(space.names)), dtype=np.int64)
        self._values: Floats = np.zeros(0)
        self._taken = self._counts
        self._known: set[tuple[int, ...]] = set()
        self._running: set[tuple[int, ...]] = set()

    def read(self, study: Study, but: int) -> tuple[Ints, Floats]:
        """Keep counts (n, G) and scores (n,) of the finished trials.

        Args:
            study: study; the same one in every call.
            but: id of the trial that is being sampled, which is left out.
        """
        self._running = set()
        fresh: list[Ints] = []
        values: list[float] = []
        trials = study.get_trials(deepcopy=False)  # by number
        while self._settled < len(trials) and self._settled in self._seen:
            self._settled += 1
        for trial in trials[self._settled :]:
            if trial.number in self._seen or trial._trial_id == but:
                continue
            if trial.state.is_finished():
                self._seen.add(trial.number)
            if any(name not in trial.params for name in self._space.names):
                continue
            counts = self._space.counts(trial.params)
            if not trial.state.is_finished():
                self._running.add(tuple(counts))
            elif trial.state in FINISHED and trial.value is not None and math.isfinite(trial.value):
                fresh.append(counts)
                values.append(trial.value)
                self._known.add(tuple(counts))
        if fresh:
            self._counts = np.concatenate([self._counts, np.array(fresh)])
            self._values = np.concatenate([self._values, values])
        running = np.array(list(self._running), dtype=np.int64).reshape(-1, len(self._space.names))
        self._taken = np.concatenate([self._counts, running])
        return self._counts, self._values

    def nearest(self, counts: Ints) -> float:
        """Distance of a candidate (G,) from the nearest that was scored or being scored at the last `read`."""
        return float(distances(counts, self._taken).min()) if len(self._taken) else math.inf

    def holds(self, counts: Ints) -> bool:
        """Whether a candidate (G,) was already scored or was being scored at the last `read`."""
        key = tuple(counts)
        return key in self._known or key in self._running
