"""The choice of finalists among the candidates of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.mending.distance import spread
from mendsearch.mending.random import random_structures
from mendsearch.mending.scoring import Scored
from mendsearch.mending.search import Search
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter, shown

CONTROLS = ("uniform", "pre_pruned", "curves", "random")
FEW = 6
"""Candidates whose weights are refined: the best one by its trial, and the best that differ."""
POOL = 24
"""Best candidates among which they are looked for."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A structure that is good enough to be fine-tuned.

    Attributes:
        counts: (G,) int64, keep counts.
        score: score with refined weights, which are those of `Scorer.build`.
        losses: (N,) float32, losses of the validation items, of which the score is minus the mean.
    """

    counts: Ints
    score: float
    losses: Tensor


def choose(study: optuna.Study, search: Search, most: int, seed: int, reporter: Reporter) -> dict[str, Finalist]:
    """Refine the weights of a few candidates and of the controls, and choose those to fine-tune.

    All of them are scored here, on one device, whatever devices the trials ran on.

    Args:
        study: study of the search.
        search: the search.
        most: number of candidates that are chosen.
        seed: seed of the control that is drawn at random.
        reporter: where progress goes.

    Returns:
        the controls `uniform`, `pre_pruned`, `curves`, the best of the error curves, and `random`; then `mended`, the
        best candidate, and `mended_2` and so on, the best ones that differ from it and from the controls. Two names
        may stand for one structure.

    Raises:
        MendsearchError: no candidate has a finite score.
    """
    candidates = _distinct(study, search.space)[:POOL]
    if not candidates:
        raise MendsearchError(
            f"no candidate of `{study.study_name}` has a finite score; check the network's weights and the images"
        )
    few = [*spread(candidates, FEW), *search.by_curves, search.pre_pruned, search.uniform]
    (drawn,) = random_structures(search.space, 1, seed)
    scored: dict[tuple[int, ...], Scored] = {}
    with reporter.stage("refine", len({tuple(counts) for counts in [*few, drawn]})) as stage:
        for counts in [*few, drawn]:
            if tuple(counts) not in scored:
                scored[tuple(counts)] = search.scorer.refined(counts)
                stage.advance(f"best score {shown(max(found.value for found in scored.values()))}")
    curves = max(search.by_curves, key=lambda counts: scored[tuple(counts)].value)
    controls = dict(zip(CONTROLS, (search.uniform, search.pre_pruned, curves, drawn), strict=True))
    # the search did not find the drawn structure, and takes no credit for it
    ranked = sorted(few, key=lambda counts: -scored[tuple(counts)].value)
    mended = [ranked[0], *spread(ranked[1:], most - 1, beside=[ranked[0], *controls.values()])]
    names = ["mended", *(f"mended_{number}" for number in range(2, most + 1))]
    chosen = controls | dict(zip(names, mended, strict=False))
    return {
        name: Finalist(counts, found.value, found.losses)
        for name, counts in chosen.items()
        for found in (scored[tuple(counts)],)
    }


def first_names(structures: Mapping[str, Ints]) -> dict[str, str]:
    """By name of a structure, (G,) int64 keep counts, the first name of the same one."""
    first: dict[tuple[int, ...], str] = {}
    return {name: first.setdefault(tuple(counts), name) for name, counts in structures.items()}


def _distinct(study: optuna.Study, space: Space) -> list[Ints]:
    """Keep counts of complete trials, best first."""
    finished = [trial for trial in finished_trials(study) if space.holds(trial.params)]
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE and math.isfinite(_value(trial))]
    ranked = sorted(complete, key=lambda trial: (-_value(trial), trial.number))
    return [np.array(key) for key in dict.fromkeys(tuple(space.counts(trial.params)) for trial in ranked)]


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with a score, or were stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # complete trials have one
    return trial.value
