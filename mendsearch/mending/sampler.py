"""Optuna's samplers, with every proposal projected onto the budget before it is recorded."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.mending.space import Space

SAMPLERS = ("tpe", "random")
DRAWS = 8
"""Proposals drawn before one that was scored already is shaken loose."""


class ProjectedSampler(BaseSampler):
    """Records what is run: the parameters of a trial are those of the projected candidate.

    Where a proposal projects onto a candidate that the study has already, another is drawn, and after `DRAWS` of them
    the last one is moved by single channels at random, so that no trial is spent on a score that is known.

    Args:
        inner: the sampler that proposes.
        space: of the search.
        seed: of the moves.
    """

    def __init__(self, inner: BaseSampler, space: Space, seed: int) -> None:
        self._inner, self._space, self._random = inner, space, np.random.default_rng(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:  # enqueued: nothing is left to propose
            return {}
        known = {
            tuple(self._space.counts(other.params))
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and set(self._space.names) <= set(other.params)
        }
        for _ in range(DRAWS):
            counts = self._space.project(self._propose(study, trial, search_space))
            if tuple(counts) not in known:
                return self._space.params(counts)
        return self._space.params(self._shake(counts, known))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()
        self._random = np.random.default_rng()

    def _propose(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Ints:
        movable = {name: distribution for name, distribution in search_space.items() if not distribution.single()}
        params = self._inner.sample_relative(study, trial, movable)
        for name, distribution in movable.items():
            if name not in params:
                params[name] = self._inner.sample_independent(study, trial, name, distribution)
        return self._space.counts({name: params.get(name, 0) for name in self._space.names})

    def _shake(self, counts: Ints, known: set[tuple[int, ...]]) -> Ints:
        """A candidate near `counts` that is not known; `counts` itself where the space seems used up."""
        for reach in range(1, 50):
            moved = counts + self._random.integers(-reach, reach + 1, len(counts))
            candidate = self._space.project(moved)
            if tuple(candidate) not in known:
                return candidate
        return counts


def make_sampler(name: Literal["tpe", "random"], space: Space, seed: int) -> ProjectedSampler:
    """The sampler of that name.

    `tpe` is Optuna's multivariate TPE; `constant_liar`, meant for trials that run side by side, is off.
    """
    inner: BaseSampler = (
        TPESampler(seed=seed, multivariate=True, constant_liar=False) if name == "tpe" else RandomSampler(seed=seed)
    )
    return ProjectedSampler(inner, space, seed)
