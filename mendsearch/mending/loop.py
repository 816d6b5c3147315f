"""The loop of trials: ask, score, record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.mending.scoring import Scored, Scorer
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter

KEEP_COUNTS = "keep_counts"
FEW = 6
"""Best candidates whose weights are refined before one of them wins."""


@dataclass(frozen=True)
class Winner:
    """The best candidate of a study.

    Attributes:
        counts: (G,) int64.
        score: with its weights at their best, as `Scorer.build` gives them.
    """

    counts: Ints
    score: float


def enqueue(study: optuna.Study, space: Space, starts: Iterable[Ints]) -> None:
    """Put structures in the queue of a study, to be its first trials; each is raised to the floor and projected."""
    for counts in starts:
        study.enqueue_trial(space.params(space.project(counts)), skip_if_exists=True)


def put_back_interrupted(study: optuna.Study, space: Space) -> None:
    """Fail the trials that a killed process left running, and put their candidates back in the queue.

    Only for a process that holds the search alone (`mendstore.exclusive`).
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        params = trial.system_attrs.get("fixed_params", trial.params)
        study.tell(trial.number, state=TrialState.FAIL)
        if set(params) == set(space.names):
            study.enqueue_trial(params)


def run_trials(
    study: optuna.Study, space: Space, scorer: Scorer, trials: int, reporter: Reporter, *, early_stopping: bool
) -> None:
    """Run trials until `trials` of the study have ended with a score, complete or stopped early.

    Every trial records the value, and `keep_counts`, `macs` and `params` of the candidate as user attributes. A trial
    that was stopped early is PRUNED, in Optuna's terms, and reports what its score is expected to be. A candidate that
    the study has scored already is not scored again: its score is recorded.
    """
    scores = {tuple(space.counts(trial.params)): _value(trial) for trial in ended(study) if _complete(trial)}
    rival = _best_again(scores, scorer) if early_stopping and len(ended(study)) < trials else None
    done = len(ended(study))
    with reporter.stage("mend", trials, done) as stage:
        for _ in range(done, trials):
            trial = study.ask(space.distributions)
            counts = space.counts(trial.params)
            key = tuple(counts)
            scored = None if key in scores else scorer.score(counts, rival)
            cost = space.limits.model.cost(counts)
            trial.set_user_attr(KEEP_COUNTS, space.coupling.keep_counts(counts))
            trial.set_user_attr("macs", cost["macs"])
            trial.set_user_attr("params", cost["params"])
            if scored is not None and scored.stopped:
                trial.report(scored.value, step=len(scored.losses))
                study.tell(trial, state=TrialState.PRUNED)
            else:
                scores[key] = scored.value if scored is not None else scores[key]
                study.tell(trial, scores[key])
                if early_stopping and scored is not None and (rival is None or scored.value > rival.value):
                    rival = scored
            stage.advance(f"best score {max(scores.values(), default=-math.inf):.4f}")


def _best_again(scores: dict[tuple[int, ...], float], scorer: Scorer) -> Scored | None:
    """The best candidate so far, scored again for its losses image by image; None where there is none."""
    best = max(scores, key=lambda key: scores[key], default=None)
    if best is None or not math.isfinite(scores[best]):
        return None
    return scorer.score(np.array(best, dtype=np.int64))


def choose(study: optuna.Study, space: Space, scorer: Scorer, controls: Iterable[Ints], reporter: Reporter) -> Winner:
    """Refine the weights of the best few candidates, and take the best of them by the score that they then have.

    Everything is scored here on one device, whatever devices the trials ran on.

    Args:
        study: of the search.
        space: of the search.
        scorer: of the search.
        controls: structures that are looked at too, so that none of them is better than the winner.
        reporter: where progress goes.

    Raises:
        MendsearchError: no candidate has a finite score.
    """
    ranked = sorted(filter(_complete, ended(study)), key=lambda trial: (-_value(trial), trial.number))
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


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended with a score, or were stopped early."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _complete(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # complete trials have one
    return trial.value
