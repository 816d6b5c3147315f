"""Samplers that propose restorations: mendsearch's own and Optuna's.

Every proposal is projected before it is recorded, so that the parameters of a trial are those of its candidate.
"""

from __future__ import annotations

import math
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
from mendsearch.mending.distance import APART
from mendsearch.mending.history import History
from mendsearch.mending.moves import moved
from mendsearch.mending.space import Space
from mendsearch.mending.surrogate import Surrogate

BLAS = ThreadpoolController().select(user_api="blas")
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
DRAWS = 8
"""Proposals drawn before the last one is perturbed, if all of them were scored already."""
PARENTS, LEARNT, POOL = 12, 160, 320
"""Best structures to move from, best structures to learn from, and structures compared for one trial."""
STALL = 40
"""Trials without improvement after which a local search ends."""
LOOKED, APART_AT = 64, 40
"""Structures that are compared with earlier candidates, and trials after which they have to be `APART` from them."""
KICKS, KICK = 8, 1.0
"""Structures that a new one begins with, and the standard deviation of their moves as a fraction of the dense width."""


class SpaceSampler(BaseSampler):
    """Samples all parameters of a search together.

    If a proposal projects to a candidate that the study already has, another is drawn. After `DRAWS` of them, the last
    one is perturbed at random, so that no trial is spent on a score that is known.

    Args:
        space: search space.
        seed: seed of the draws, which depend on the seed and the trial number only, in any process.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed, self._history = space, seed, History(space)
        self._exhausted = False

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:  # enqueued: there is nothing to propose
            return {}
        return self._space.params(self.candidate(study, trial))

    def candidate(self, study: Study, trial: FrozenTrial) -> Ints:
        """Keep counts (G,) of a candidate that the study does not have yet, if there is one.

        Args:
            study: study; the same one in every call.
            trial: trial that is being sampled; the study need not hold it.
        """
        with BLAS.limit(limits=1):  # matrices are small: threads would only wait for one another
            return self._fresh(study, trial, np.random.default_rng((self._seed, trial.number)))

    def _fresh(self, study: Study, trial: FrozenTrial, generator: np.random.Generator) -> Ints:
        tried, scores = self._history.read(study, but=trial._trial_id)
        if self._exhausted and len(tried):
            return self._space.project(tried[generator.integers(len(tried))])
        for _ in range(DRAWS):
            counts = self._space.project(self.propose(study, trial, tried, scores, generator))
            if not self._history.holds(counts):
                return counts
        return self._perturb(counts, generator)

    @abstractmethod
    def propose(
        self, study: Study, trial: FrozenTrial, tried: Ints, scores: Floats, generator: np.random.Generator
    ) -> Ints:
        """Propose keep counts (G,), given that keep counts `tried` (n, G) have `scores` (n,)."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return RandomSampler(self._seed).sample_independent(study, trial, param_name, param_distribution)

    def _perturb(self, counts: Ints, generator: np.random.Generator) -> Ints:
        """A new candidate near `counts`; `counts` itself if the space seems exhausted, as it is from then on."""
        for reach in range(1, 50):
            perturbed = generator.integers(-reach, reach + 1, len(counts)) * self._space.limits.steps
            candidate = self._space.project(counts + perturbed)
            if not self._history.holds(candidate):
                return candidate
        self._exhausted = True
        return counts


class MendingSampler(SpaceSampler):
    """Moves restorations between coupling groups along the budget, to where a surrogate expects the best score.

    `POOL` structures are made from the best ones so far by moving restorations. A surrogate, which starts from the
    error curves and learns from the best finished trials, predicts the score of each with a standard deviation. The
    acquisition is the mean plus a random multiple of that deviation (an upper confidence bound); the structure with the
    highest acquisition that is no near copy of an earlier candidate is proposed. The multiple is drawn for every
    proposal, so that workers that ask at the same time propose different structures.

    Where `STALL` trials bring nothing, another local search begins, from the best structure with large moves, and goes
    on from its own structures (iterated local search: Lourenço, Martin and Stützle, 2003).

    Args:
        space: search space.
        curves: error curves of the coupling groups, of one kind or several.
        starts: structures to move from before two trials have finished.
        seed: seed of the draws.
    """

    def __init__(self, space: Space, curves: list[list[Floats]], starts: list[Ints], seed: int) -> None:
        super().__init__(space, seed)
        self._starts = np.array(starts)
        self._surrogate = Surrogate(space.coupling.widths, curves)

    def propose(
        self, study: Study, trial: FrozenTrial, tried: Ints, scores: Floats, generator: np.random.Generator
    ) -> Ints:
        if len(scores) < 2:
            start = self._starts[generator.integers(len(self._starts))]
            return _whole(moved(start[None], self._space, generator)[0])
        order, first = np.argsort(-scores), local_search_from(scores)
        if first and len(scores) - first < KICKS:
            return _whole(moved(tried[order[:1]], self._space, generator, KICK)[0])
        own = first + np.argsort(-scores[first:])
        # parents are drawn by rank, the best most often
        ranks = np.minimum(generator.geometric(0.25, POOL) - 1, min(PARENTS, len(own)) - 1)
        pool = moved(tried[own[ranks]], self._space, generator)
        learnt = np.union1d(order[: LEARNT // 2], own[: LEARNT // 2]) if first else order[:LEARNT]
        self._surrogate.fit(tried[learnt], scores[learnt])
        mean, deviation = self._surrogate.predict(pool)
        acquisition = mean + generator.uniform(0, 1.5) * deviation
        return self._apart(pool[np.argsort(-acquisition)[:LOOKED]], apart_after(len(scores)))

    def _apart(self, structures: Floats, least: float) -> Ints:
        """The first candidate that is so far from all earlier ones, or else the one that is farthest.

        Args:
            structures: (m, G), what to choose from, best first; they are projected.
            least: the distance.
        """
        farthest, at = _whole(structures[0]), -1.0
        for counts in map(self._space.project, map(_whole, structures)):
            away = self._history.nearest(counts)
            if away >= least:
                return counts
            if away > at:
                farthest, at = counts, away
        return farthest


def apart_after(trials: int) -> float:
    """Distance from all earlier candidates from which a proposal is no near copy: it falls as a search goes on."""
    return APART * min(math.sqrt(APART_AT / trials), 2.0)


def local_search_from(scores: Floats) -> int:
    """Number of the first trial of the local search that is under way.

    Args:
        scores: (n,) of all trials, in the order in which they ended.
    """
    first, best, improved = 0, -np.inf, 0
    for number, score in enumerate(scores.tolist()):
        if score > best:
            best, improved = score, number
        elif number - improved >= STALL:
            first, best, improved = number + 1, -np.inf, number + 1
    return first


def _whole(counts: Floats) -> Ints:
    rounded: Ints = np.rint(counts).astype(np.int64)
    return rounded


class OptunaSampler(SpaceSampler):
    """One of Optuna's own samplers.

    Args:
        inner: sampler that proposes.
        space: search space.
        seed: seed of the perturbation of proposals that were scored already.
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


def make_sampler(
    name: SamplerName, space: Space, curves: list[list[Floats]], starts: list[Ints], seed: int
) -> SpaceSampler:
    """Make the sampler of that name.

    `tpe` is Optuna's multivariate TPE. Its `constant_liar`, meant for parallel trials, is off: with 8 workers it made
    no difference (`bench/fleet/liar.py`).
    """
    if name == "mending":
        return MendingSampler(space, curves, starts, seed)
    inner: BaseSampler = (
        TPESampler(seed=seed, multivariate=True, constant_liar=False) if name == "tpe" else RandomSampler(seed=seed)
    )
    return OptunaSampler(inner, space, seed)
