"""A study in memory as the source of candidates, for `mendsearch.mend` without a database."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space


@dataclass(frozen=True, eq=False)
class Asked:
    """A trial that the study gave, and its candidate."""

    trial: optuna.Trial
    counts: Ints
    known: float | None


class StudySource:
    """Takes candidates from an Optuna study by `ask`, and records their scores by `tell`.

    Args:
        study: study of this process alone, with its sampler.
        space: search space.
        trials: number of trials that end with a score.
        starts: structures that the first trials score, whatever time they take.
        seconds: seconds after which no further trial is begun; None for no limit.
    """

    def __init__(
        self, study: optuna.Study, space: Space, trials: int, starts: Iterable[Ints], seconds: float | None
    ) -> None:
        self._study, self._space, self._trials, self._done = study, space, trials, 0
        self._ends_at = math.inf if seconds is None else time.monotonic() + seconds
        self._scores: dict[tuple[int, ...], float] = {}
        for counts in starts:
            study.enqueue_trial(space.params(space.project(counts)), skip_if_exists=True)

    def done(self) -> int:
        """Number of trials that ended with a score."""
        return self._done

    def best(self) -> tuple[Ints, float] | None:
        """The best complete candidate so far and its score."""
        if not self._scores:
            return None
        trial = self._study.best_trial
        return self._space.counts(trial.params), self._study.best_value

    def take(self) -> Asked | None:
        """The study's next trial."""
        if self._done >= self._trials or (time.monotonic() >= self._ends_at and not self._waiting()):
            return None
        trial = self._study.ask(self._space.distributions)
        counts = self._space.counts(trial.params)
        return Asked(trial, counts, self._scores.get(tuple(counts)))

    def _waiting(self) -> bool:
        """Whether a start is left."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def record(self, candidate: Asked, value: float, attrs: Mapping[str, Any], stopped_at: int | None) -> None:
        """Complete the trial; a candidate that was stopped early becomes PRUNED, as Optuna calls it."""
        trial = candidate.trial
        for key, attribute in attrs.items():
            trial.set_user_attr(key, attribute)
        if stopped_at is None:
            self._scores[tuple(candidate.counts)] = value
            self._study.tell(trial, value)
        else:
            trial.report(value, step=stopped_at)
            self._study.tell(trial, state=TrialState.PRUNED)
        self._done += 1

    def give_up(self) -> None:
        """Mark the trial that was being scored as failed."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)

    def failed(self, candidate: Asked, error: Exception) -> None:
        """Mark the trial as failed and raise the error: no other worker can retry it."""
        self._study.tell(candidate.trial, state=TrialState.FAIL)
        raise error
