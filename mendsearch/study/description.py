"""The description of a search that dashboards show, as attributes of its study."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from mendsearch.coupling.layout import Ints
from mendsearch.mending.search import Search

STRUCTURE = "structure"
MOST_CHANNELS = 8192
"""Channels of all coupling groups together, up to which the error curves are included."""


def description(search: Search) -> dict[str, str]:
    """JSON, by attribute: coupling groups in network order with their channels, budget, costs and error curves.

    The controls are scored here, as a trial would score them.
    """
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
        "controls": _controls(search),
        "yardstick": "labels" if search.scorer.by_label else "dense",
        "dense_score": search.scorer.dense_score(),
        "dense": limits.costs.cost(coupling.widths),
        "budget": limits.absolute,
        "error_curves": curves,
        "layers": _layers(search),
    }
    return {STRUCTURE: json.dumps(structure)}


def _controls(search: Search) -> dict[str, float]:
    structures = {"pre_pruned": search.pre_pruned, "uniform": search.uniform}
    scores = {name: _score(search, counts) for name, counts in structures.items()}
    return {name: score for name, score in scores.items() if score is not None and math.isfinite(score)}


def _score(search: Search, counts: Ints) -> float | None:
    try:
        return search.scorer.score(counts).value
    except Exception:  # a trial that fails reports the reason; here the control is just not shown
        return None


def _layers(search: Search) -> list[dict[str, Any]]:
    """MACs in the dense network of every layer that multiplies, and the coupling groups before and after it."""
    coupling, model = search.problem.coupling, search.problem.model
    inputs = {consumer.layer: consumer.inputs for consumer in coupling.consumers}
    found = []
    for layer, macs in search.problem.limits.costs.layer_macs().items():
        name = f"{layer}.weight" if layer else "weight"
        outputs = next((layout for dim, layout in coupling.axes.get(name, ()) if dim == 0), None)
        read = inputs.get(layer)
        groups_in = [] if read is None else [coupling.names[i] for i in np.unique(read.group[read.group >= 0])]
        groups_out = (
            [] if outputs is None else [coupling.names[i] for i in np.unique(outputs.group[outputs.group >= 0])]
        )
        found.append(
            {
                "name": layer,
                "group_in": groups_in[0] if len(groups_in) == 1 else groups_in or None,
                "group_out": groups_out[0] if groups_out else None,
                "macs": macs,
                "conv_groups": int(getattr(model.get_submodule(layer), "groups", 1)),
            }
        )
    return found
