"""The description of a search that dashboards show, as a record in an attribute of its study."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np

from mendsearch.coupling.layout import Ints
from mendsearch.mending.scoring import Scored
from mendsearch.mending.search import Search
from mendstore.records import STRUCTURE, Layer, Output, Structure

MOST_CHANNELS = 8192
"""Channels of all coupling groups together, up to which the error curves are included."""


def description(search: Search) -> dict[str, str]:
    """JSON, by attribute: coupling groups in network order with their channels, budget, costs and error curves.

    The controls are scored here, as a trial would score them.
    """
    coupling, limits = search.problem.coupling, search.problem.limits
    curves = {}
    if coupling.widths.sum() <= MOST_CHANNELS:
        for name, curve in zip(coupling.names, search.curves[0], strict=True):
            if np.isfinite(curve).all():
                curves[name] = [float(f"{value:.3g}") for value in curve]
    controls = _controls(search)
    structure = Structure(
        groups=list(coupling.names),
        widths=coupling.keep_counts(coupling.widths),
        floor=coupling.keep_counts(search.space.floor),
        pre_pruned=coupling.keep_counts(search.pre_pruned),
        uniform=coupling.keep_counts(search.uniform),
        controls={name: scored.value for name, scored in controls.items()},
        control_divergences={name: dict(scored.divergences) for name, scored in controls.items() if scored.divergences},
        reference=search.scorer.reference,
        metric=search.scorer.metric_name or None,
        outputs=[
            Output(**{key: value for key, value in asdict(output).items() if key != "probabilities"})
            for output in search.scorer.outputs
        ],
        dense_score=search.scorer.dense_score(),
        dense=limits.costs.cost(coupling.widths) | _dense(search),
        budget=limits.absolute,
        error_curves=curves,
        layers=_layers(search),
    )
    return {STRUCTURE: json.dumps(structure.written())}


def _dense(search: Search) -> dict[str, float]:
    """Costs of the dense network that a limit is of, beside MACs and parameters."""
    return {name: value for name, value in search.problem.limits.dense.items() if name not in ("macs", "params")}


def _controls(search: Search) -> dict[str, Scored]:
    structures = {"pre_pruned": search.pre_pruned, "uniform": search.uniform}
    found = {name: _score(search, counts) for name, counts in structures.items()}
    return {name: scored for name, scored in found.items() if scored is not None and math.isfinite(scored.value)}


def _score(search: Search, counts: Ints) -> Scored | None:
    try:
        return search.scorer.score(counts)
    except Exception:  # a trial that fails reports the reason; here the control is just not shown
        return None


def _layers(search: Search) -> list[Layer]:
    """Every layer that multiplies, with its MACs and the coupling groups before and after it."""
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
            Layer(
                name=layer,
                group_in=groups_in[0] if len(groups_in) == 1 else groups_in or None,
                group_out=groups_out[0] if groups_out else None,
                macs=macs,
                conv_groups=int(getattr(model.get_submodule(layer), "groups", 1)),
            )
        )
    return found
