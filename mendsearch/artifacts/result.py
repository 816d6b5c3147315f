"""From a finished search to its result."""

from __future__ import annotations

import optuna
from torch import nn

from mendsearch.artifacts.describing import describe_pruned, kept_channels
from mendsearch.artifacts.inputs import inputs_of
from mendsearch.artifacts.pruned import Control, Pruned
from mendsearch.artifacts.structure import PrunedStructure
from mendsearch.coupling.layout import Ints
from mendsearch.mending.search import Search
from mendsearch.study.winner import Winner


def result_of(search: Search, study: optuna.Study, winner: Winner) -> Pruned:
    """The winner with its refined weights, and the controls.

    Args:
        search: the search.
        study: its study, with all its trials.
        winner: the candidate that was chosen.
    """
    model = search.scorer.build(winner.counts)
    cost = search.problem.limits.costs.cost(winner.counts)
    return Pruned(
        model=model,
        keep_counts=search.problem.coupling.keep_counts(winner.counts),
        score=winner.score,
        macs=cost["macs"],
        params=cost["params"],
        study=study,
        structure=structure_of(search, winner.counts, model),
        controls={
            "uniform": _control(search, search.uniform),
            "pre_pruned": _control(search, search.pre_pruned),
        },
    )


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


def _control(search: Search, counts: Ints) -> Control:
    cost, weights = search.problem.limits.costs.cost(counts), search.scorer.weights
    state = weights.refined(counts)
    return Control(
        keep_counts=search.problem.coupling.keep_counts(counts),
        score=search.scorer.refined_score(counts),
        macs=cost["macs"],
        params=cost["params"],
        _dense=search.problem.model,
        _state=state,
        _sizes=weights.slicer.sizes(state),
    )
