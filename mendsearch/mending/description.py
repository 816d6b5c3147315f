"""What dashboards show of a search, as attributes of its study."""

from __future__ import annotations

import json

from mendsearch.mending.search import Search

STRUCTURE = "structure"
MOST_CHANNELS = 8192
"""Of all coupling groups together, up to which the error curves are told."""


def description(search: Search) -> dict[str, str]:
    """By attribute, JSON: coupling groups in network order with their channels, budget, costs and error curves."""
    coupling, limits = search.problem.coupling, search.problem.limits
    curves = {}
    if coupling.widths.sum() <= MOST_CHANNELS:
        for name, curve in zip(coupling.names, search.curves, strict=True):
            curves[name] = [float(f"{value:.3g}") for value in curve]
    structure = {
        "groups": list(coupling.names),
        "widths": coupling.keep_counts(coupling.widths),
        "floor": coupling.keep_counts(search.space.floor),
        "pre_pruned": coupling.keep_counts(search.pre_pruned),
        "uniform": coupling.keep_counts(search.uniform),
        "dense_score": search.scorer.dense_score(),
        "dense": limits.model.cost(coupling.widths),
        "budget": limits.absolute,
        "error_curves": curves,
    }
    return {STRUCTURE: json.dumps(structure)}
