"""What proposes restorations: the mending sampler, and Optuna's own, all projected onto the budget.

Every proposal is projected before it is recorded, so that a trial's parameters are those of the candidate that is run.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, get_args

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from mendsearch.budget import Floats
from mendsearch.config import SamplerName
from mendsearch.coupling.layout import Ints
from mendsearch.mending.history import History
from mendsearch.mending.moves import moved
from mendsearch.mending.space import Space
from mendsearch.mending.surrogate import Surrogate

BLAS = ThreadpoolController().select(user_api="blas")
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
DRAWS = 8
"""Proposals drawn before one that was scored already is shaken loose."""
PARENTS, LEARNT, POOL = 12, 160, 320
"""Best structures that are moved from, best structures that are learnt from, and structures looked at for one trial."""


class SpaceSampler(BaseSampler):
    """Samples the whole space of a search at once.

    Where a proposal projects onto a candidate that the study has already, another is drawn, and after `DRAWS` of them
    the last one is moved by single steps at random, so that no trial is spent on a score that is known.

    Args:
        space: of the search.
        seed: of its draws; they follow from seed and trial number alone, in any process.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed, self._history = space, seed, History(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:  # enqueued: nothing is left to propose
            return {}
        return self._space.params(self.candidate(study, trial))

    def candidate(self, study: Study, trial: FrozenTrial) -> Ints:
        """Keep counts (G,) of a candidate that the study does not have yet, where there is one.

        Args:
            study: the same in every call.
            trial: that asks; it may be one that the study does not hold.
        """
        with BLAS.limit(limits=1):  # small matrices; threads would only wait for one another
            return self._fresh(study, trial, np.random.default_rng((self._seed, trial.number)))

    def _fresh(self, study: Study, trial: FrozenTrial, generator: np.random.Generator) -> Ints:
        tried, scores = self._history.read(study, but=trial._trial_id)
        for _ in range(DRAWS):
            counts = self._space.project(self.propose(study, trial, tried, scores, generator))
            if not self._history.holds(counts):
                return counts
        return self._perturb(counts, generator)

    @abstractmethod
    def propose(
        self, study: Study, trial: FrozenTrial, tried: Ints, scores: Floats, generator: np.random.Generator
    ) -> Ints:
        """Keep counts (G,), to be projected, after keep counts (n, G) got `scores` (n,)."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return RandomSampler(self._seed).sample_independent(study, trial, param_name, param_distribution)

    def _perturb(self, counts: Ints, generator: np.random.Generator) -> Ints:
        """A candidate near `counts` that is not known; `counts` itself where the space seems used up."""
        for reach in range(1, 50):
            perturbed = generator.integers(-reach, reach + 1, len(counts)) * self._space.limits.steps
            candidate = self._space.project(counts + perturbed)
            if not self._history.holds(candidate):
                return candidate
        return counts


class MendingSampler(SpaceSampler):
    """Moves restorations between coupling groups along the budget, where a model of the score expects most.

    From the best structures so far, `POOL` others are made by moving restorations. A surrogate that starts from the
    error curves and learns from the best finished trials says what each is worth and how sure it is; the one with the
    highest mean plus a random multiple of its standard deviation is proposed. The multiple is drawn anew each time, so
    that workers that ask at once propose different structures.

    Args:
        space: of the search.
        curves: error curves of the coupling groups.
        starts: structures from which to go while nothing is known.
        seed: of its draws.
    """

    def __init__(self, space: Space, curves: list[Floats], starts: list[Ints], seed: int) -> None:
        super().__init__(space, seed)
        self._starts = np.array(starts)
        self._surrogate = Surrogate(space.coupling.widths, curves)

    def propose(
        self, study: Study, trial: FrozenTrial, tried: Ints, scores: Floats, generator: np.random.Generator
    ) -> Ints:
        if len(scores) < 2:
            start = self._starts[generator.integers(len(self._starts))]
            return _whole(moved(start[None], self._space, generator)[0])
        best = np.argsort(-scores)[:LEARNT]
        # parents by rank: the best most often
        ranks = np.minimum(generator.geometric(0.25, POOL) - 1, min(PARENTS, len(best)) - 1)
        pool = moved(tried[best[ranks]], self._space, generator)
        self._surrogate.fit(tried[best], scores[best])
        mean, deviation = self._surrogate.predict(pool)
        acquisition = mean + generator.uniform(0, 1.5) * deviation
        return _whole(pool[int(np.argmax(acquisition))])


def _whole(counts: Floats) -> Ints:
    rounded: Ints = np.rint(counts).astype(np.int64)
    return rounded


class OptunaSampler(SpaceSampler):
    """One of Optuna's own samplers.

    Args:
        inner: the sampler that proposes.
        space: of the search.
        seed: of the moves that shake a known proposal loose.
    """

    def __init__(self, inner: BaseSampler, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self._inner = inner

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()

    def propose(
        self, study: Study, trial: FrozenTrial, tried: Ints, scores: Floats, generator: np.random.Generator
    ) -> Ints:
        movable = {name: found for name, found in self._space.distributions.items() if not found.single()}
        params = self._inner.sample_relative(study, trial, movable)
        for name, distribution in movable.items():
            if name not in params:
                params[name] = self._inner.sample_independent(study, trial, name, distribution)
        return self._space.counts({name: params.get(name, 0) for name in self._space.names})


def make_sampler(name: SamplerName, space: Space, curves: list[Floats], starts: list[Ints], seed: int) -> SpaceSampler:
    """The sampler of that name.

    `tpe` is Optuna's multivariate TPE; `constant_liar`, meant for trials that run side by side, is off.
    """
    if name == "mending":
        return MendingSampler(space, curves, starts, seed)
    inner: BaseSampler = (
        TPESampler(seed=seed, multivariate=True, constant_liar=False) if name == "tpe" else RandomSampler(seed=seed)
    )
    return OptunaSampler(inner, space, seed)
