"""The loop of trials: ask, score, record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter

KEEP_COUNTS = "keep_counts"


@dataclass(frozen=True)
class Winner:
    """The best candidate of a study.

    Attributes:
        counts: (G,) int64.
        score: its score.
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


def run_trials(study: optuna.Study, space: Space, scorer: Scorer, trials: int, reporter: Reporter) -> Winner:
    """Run trials until `trials` of the study are complete, and return the best of all.

    Every trial records the value, and `keep_counts`, `macs` and `params` of the candidate as user attributes. A
    candidate that the study has scored already is not scored again: its score is recorded.

    Raises:
        MendsearchError: no candidate has a finite score.
    """
    scores = {tuple(space.counts(trial.params)): trial.value for trial in complete(study)}
    done = len(complete(study))
    with reporter.stage("mend", trials, done) as stage:
        for _ in range(done, trials):
            trial = study.ask(space.distributions)
            counts = space.counts(trial.params)
            key = tuple(counts)
            value = scores.get(key)
            if value is None:
                value = scorer.score(counts)
            scores[key] = value
            cost = space.limits.model.cost(counts)
            trial.set_user_attr(KEEP_COUNTS, space.coupling.keep_counts(counts))
            trial.set_user_attr("macs", cost["macs"])
            trial.set_user_attr("params", cost["params"])
            study.tell(trial, value)
            stage.advance(f"best score {max(score for score in scores.values() if score is not None):.4f}")
    best = max(complete(study), key=lambda trial: (_value(trial), -trial.number))
    if not math.isfinite(_value(best)):
        raise MendsearchError(
            f"no candidate of `{study.study_name}` has a finite score; check the network's weights and the images"
        )
    return Winner(space.counts(best.params), _value(best))


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended with a score."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # complete trials have one
    return trial.value
