"""The choice of the winner among the candidates of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter

FEW = 6
"""Best candidates whose weights are refined before one of them wins."""


@dataclass(frozen=True)
class Winner:
    """The best candidate of a study.

    Attributes:
        counts: (G,) int64, keep counts.
        score: score with refined weights, which are those of `Scorer.build`.
    """

    counts: Ints
    score: float


def choose(study: optuna.Study, space: Space, scorer: Scorer, controls: Iterable[Ints], reporter: Reporter) -> Winner:
    """Refine the weights of the best few candidates and of the controls, and choose the best by its score then.

    All of them are scored here, on one device, whatever devices the trials ran on.

    Args:
        study: study of the search.
        space: search space.
        scorer: scorer of the search.
        controls: structures that are compared too, so that none of them is better than the winner.
        reporter: where progress goes.

    Raises:
        MendsearchError: no candidate has a finite score.
    """
    finished = [trial for trial in finished_trials(study) if space.holds(trial.params)]
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    ranked = sorted(complete, key=lambda trial: (-_value(trial), trial.number))
    distinct = list(
        dict.fromkeys(tuple(space.counts(trial.params)) for trial in ranked if math.isfinite(_value(trial)))
    )
    if not distinct:
        raise MendsearchError(
            f"no candidate of `{study.study_name}` has a finite score; check the network's weights and the images"
        )
    few = [np.array(key) for key in dict.fromkeys([*distinct[:FEW], *(tuple(counts) for counts in controls)])]
    found = []
    with reporter.stage("refine", len(few)) as stage:
        for counts in few:
            found.append(Winner(counts, scorer.refined_score(counts)))
            stage.advance(f"score {found[-1].score:.4f}")
    return max(found, key=lambda winner: winner.score)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with a score, or were stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # complete trials have one
    return trial.value
