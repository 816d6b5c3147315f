"""What can be pruned in a network, found without data or training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from mendsearch.budget import CostModel, build_cost_model
from mendsearch.config import Spec
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.outputs import outputs_of
from mendsearch.outputs.guessing import Output
from mendsearch.pipeline.inputs import read_inputs


def inspect_model(name: str, shape: tuple[int, ...], exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """As `inspect_spec`, for a network with fresh weights on random images of `shape` (C, H, W)."""
    torch.manual_seed(0)
    model = build_model(name, complete_kwargs(name, {}, in_channels=shape[0])).eval()
    images = torch.randn(2, *shape)
    coupling = find_coupling(model, images, exclude)
    return _describe(name, coupling, build_cost_model(model, coupling), outputs_of(model, images)[0])


def inspect_spec(spec: Spec) -> dict[str, Any]:
    """Coupling groups with their ranges and costs, the layers that are not pruned, and how outputs are compared.

    Returns:
        JSON values: `model`; `dense` and `least` costs; `coupling_groups`, a list, in which `macs_share` and
        `params_share` are the fractions of the dense cost saved if the coupling group keeps one channel; `whole`, the
        reason for each layer that is not pruned; and `outputs`, a list of `mendsearch.outputs.guessing.Output`, guessed
        from the weights that the network has now.
    """
    inputs = read_inputs(spec)
    problem = inputs.problem
    outputs, _ = outputs_of(problem.model, inputs.splits.validation[0], problem.outputs)
    return _describe(spec.model.name, problem.coupling, problem.limits.costs, outputs)


def _describe(name: str, coupling: Coupling, costs: CostModel, outputs: list[Output]) -> dict[str, Any]:
    dense, least = costs.cost(coupling.widths), costs.cost(np.ones_like(coupling.widths))
    groups = []
    for index, group in enumerate(coupling.groups):
        alone = coupling.widths.copy()
        alone[index] = 1
        cost = costs.cost(alone)
        shares = {f"{key}_share": round(1 - cost[key] / dense[key], 4) for key in dense}
        groups.append({"name": group.name, "channels": [1, group.width], "layers": list(group.layers), **shares})
    return {
        "model": name,
        "dense": dense,
        "least": least,
        "coupling_groups": groups,
        "whole": dict(coupling.whole),
        "outputs": [asdict(output) | {"shape": list(output.shape)} for output in outputs],
    }
