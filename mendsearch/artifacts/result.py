"""From a finished search to its result."""

from __future__ import annotations

import math
from collections.abc import Mapping

import optuna
from optuna.trial import TrialState
from torch import nn

from mendsearch.artifacts.describing import describe_pruned, kept_channels
from mendsearch.artifacts.inputs import inputs_of
from mendsearch.artifacts.pruned import Control, Pruned
from mendsearch.artifacts.structure import PrunedStructure
from mendsearch.coupling.layout import Ints
from mendsearch.mending.ladder import compared, lead
from mendsearch.mending.search import Search
from mendsearch.study.finalists import CONTROLS, Finalist
from mendsearch.study.judging import Judged
from mendstore.records import Timing


def result_of(
    search: Search,
    study: optuna.Study,
    finalists: Mapping[str, Finalist],
    chosen: str,
    judged: Judged,
    model: nn.Module,
    timings: Mapping[str, Timing],
) -> Pruned:
    """The finalist that was chosen, and the controls.

    Args:
        search: the search.
        study: its study, with all its trials.
        finalists: by name.
        chosen: name of the one to return.
        judged: the same finalists, as they are kept.
        model: network of the one to return.
        timings: times of the finalists, by the names of the limits in time.
    """
    winner = finalists[chosen]
    cost = search.problem.limits.costs.cost(winner.counts)
    return Pruned(
        model=model,
        keep_counts=search.problem.coupling.keep_counts(winner.counts),
        score=winner.score,
        trial_score=_trial_score(search, study, winner.counts),
        macs=cost["macs"],
        params=cost["params"],
        study=study,
        structure=structure_of(search, winner.counts, model),
        chosen=chosen,
        best=judged.best,
        controls={name: _control(search, finalists[name]) for name in CONTROLS},
        figure=judged.figure,
        leads=_leads(finalists, chosen, judged),
        whole=search.problem.coupling.whole,
        timings=timings,
    )


def _leads(finalists: Mapping[str, Finalist], chosen: str, judged: Judged) -> dict[str, tuple[float, float]]:
    """Of the chosen finalist over each control that is another structure and over the best one."""
    found = {}
    for name in dict.fromkeys((*CONTROLS, judged.best)):
        if tuple(finalists[name].counts) != tuple(finalists[chosen].counts):
            ours, theirs = compared(judged.rungs[chosen], judged.rungs[name])
            found[name] = lead(judged.items[chosen][ours], judged.items[name][theirs])
    return {name: found[name] for name in found if math.isfinite(found[name][0])}


def _trial_score(search: Search, study: optuna.Study, counts: Ints) -> float | None:
    params = search.space.params(counts)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((trial.value for trial in complete if trial.params == params), None)


def structure_of(search: Search, counts: Ints, model: nn.Module) -> PrunedStructure:
    """The structure of a candidate.

    Args:
        search: the search.
        counts: (G,) int64, keep counts.
        model: a network of these keep counts.
    """
    coupling = search.problem.coupling
    kept = kept_channels(coupling, search.ranking.orders, counts)
    return describe_pruned(search.problem.model, model, coupling, kept, inputs_of(search.data[0]))


def _control(search: Search, finalist: Finalist) -> Control:
    counts = finalist.counts
    cost, weights = search.problem.limits.costs.cost(counts), search.scorer.weights
    state = weights.refined(counts)
    return Control(
        keep_counts=search.problem.coupling.keep_counts(counts),
        score=finalist.score,
        macs=cost["macs"],
        params=cost["params"],
        _dense=search.problem.model,
        _state=state,
        _sizes=weights.slicer.sizes(state),
    )
