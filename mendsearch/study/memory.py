"""A study in memory as the source of candidates: what `mendsearch.mend` runs when it is given no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space


@dataclass(frozen=True, eq=False)
class Asked:
    """A trial that the study gave."""

    trial: optuna.Trial
    counts: Ints
    known: float | None


class StudySource:
    """Asks an Optuna study, and tells it.

    Args:
        study: nobody else works at it; its sampler proposes.
        space: of the search.
        trials: that are to end with a score.
        starts: structures to be its first trials.
    """

    def __init__(self, study: optuna.Study, space: Space, trials: int, starts: Iterable[Ints]) -> None:
        self._study, self._space, self._trials, self._done = study, space, trials, 0
        self._scores: dict[tuple[int, ...], float] = {}
        for counts in starts:
            study.enqueue_trial(space.params(space.project(counts)), skip_if_exists=True)

    def done(self) -> int:
        """Trials that ended with a score."""
        return self._done

    def best(self) -> tuple[Ints, float] | None:
        """The best complete candidate so far and its score."""
        if not self._scores:
            return None
        trial = self._study.best_trial
        return self._space.counts(trial.params), self._study.best_value

    def take(self) -> Asked | None:
        """The study's next trial."""
        if self._done >= self._trials:
            return None
        trial = self._study.ask(self._space.distributions)
        counts = self._space.counts(trial.params)
        return Asked(trial, counts, self._scores.get(tuple(counts)))

    def record(self, candidate: Asked, value: float, attrs: Mapping[str, Any], stopped_at: int | None) -> None:
        """Complete; PRUNED, in Optuna's terms, where scoring was stopped early."""
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

    def failed(self, candidate: Asked, error: Exception) -> None:
        """There is nobody to try again."""
        self._study.tell(candidate.trial, state=TrialState.FAIL)
        raise error
