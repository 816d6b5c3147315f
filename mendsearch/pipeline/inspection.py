"""What can be pruned in a network, found without data or training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mendsearch.batches import Batch
from mendsearch.budget import CostModel, build_cost_model
from mendsearch.config import Spec
from mendsearch.coupling.copying import unwrapped
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling
from mendsearch.errors import BudgetError, CouplingError, UsageError
from mendsearch.mending.search import limits_of
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.outputs import outputs_of
from mendsearch.outputs.guessing import Output
from mendsearch.outputs.labels import with_labels
from mendsearch.pipeline.inputs import channels_of, open_inputs

FORM = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<list>\[)?(?P<shape>\d+(?:x\d+)*)(?(list)\])(?::(?P<dtype>\w+))?")
"""One argument of a network: `[NAME=]SHAPE[:DTYPE]`, or `[NAME=][SHAPE][:DTYPE]` in brackets for a list."""


def inspect_model(name: str, forms: Sequence[str], exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """As `inspect_spec`, for a network with fresh weights on random inputs.

    Args:
        name: of the network.
        forms: of its inputs, as `drawn` reads them.
        exclude: layers that keep all their output channels.
    """
    torch.manual_seed(0)
    inputs = drawn(forms)
    model = build_model(name, complete_kwargs(name, {}, **channels_of(inputs))).eval()
    coupling = find_coupling(model, inputs, exclude)
    return _describe(name, coupling, build_cost_model(model, coupling), outputs_of(model, inputs)[0])


def inspect_spec(spec: Spec) -> dict[str, Any]:
    """Coupling groups with their ranges and costs, the layers that are not pruned, and how outputs are compared.

    Returns:
        JSON values: `model`; `dense` and `least` costs; `coupling_groups`, a list, in which `macs_share` and
        `params_share` are the fractions of the dense cost saved if the coupling group keeps the fewest channels;
        `whole`, the reason for each layer that is not pruned; `outputs`, a list of
        `mendsearch.outputs.guessing.Output`, guessed from the weights that the network has now; and `refused`, why a
        run would be refused for its budget, or None.
    """
    network, splits, _ = open_inputs(spec)
    model = unwrapped(network)
    coupling = find_coupling(model, splits.calibration, spec.prune.exclude)
    wishes = with_labels(model, *splits.validation, spec.score.outputs)
    outputs, _ = outputs_of(model, splits.validation[0], wishes)
    found = _describe(spec.model.name, coupling, build_cost_model(model, coupling), outputs)
    try:
        limits_of(model, coupling, spec.budget, spec.prune)
    except (BudgetError, CouplingError) as error:
        found["refused"] = str(error)
    return found


def _describe(name: str, coupling: Coupling, costs: CostModel, outputs: list[Output]) -> dict[str, Any]:
    dense, least = costs.cost(coupling.widths), costs.cost(coupling.steps())
    groups = []
    for index, group in enumerate(coupling.groups):
        alone = coupling.widths.copy()
        alone[index] = group.step
        cost = costs.cost(alone)
        shares = {f"{key}_share": round(1 - cost[key] / dense[key], 4) for key in dense}
        groups.append(
            {"name": group.name, "channels": [group.step, group.width], "layers": list(group.layers), **shares}
        )
    return {
        "model": name,
        "dense": dense,
        "least": least,
        "coupling_groups": groups,
        "whole": dict(coupling.whole),
        "outputs": [asdict(output) | {"shape": list(output.shape)} for output in outputs],
        "refused": None,
    }


def drawn(forms: Sequence[str]) -> Batch:
    """Two items of random inputs.

    Args:
        forms: of each argument the shape of one item, such as `3x224x224` or `1024`; `:DTYPE` behind it if it is not
            float32, as in `128:int64`; `NAME=` before it if it is given by keyword; and brackets around the shape if
            it is a list with one tensor for each item, as in `[3x320x320]`. Integers are drawn from 0 and 1.

    Raises:
        UsageError: a form is none of these.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for form in forms:
        found = FORM.fullmatch(form.lower() if "=" not in form else form)
        dtype = getattr(torch, found["dtype"] or "float32", None) if found else None
        shape = tuple(map(int, found["shape"].split("x"))) if found else ()
        if found is None or not isinstance(dtype, torch.dtype) or min(shape) < 1:
            raise UsageError(
                f"--input: got {form!r}, expected the shape of one item such as 3x224x224, 1024 or 128:int64, "
                f"NAME=SHAPE by keyword, or [SHAPE] for a list"
            )
        items = _random((2, *shape), dtype)
        value = list(items) if found["list"] else items
        if found["name"]:
            kwargs[found["name"]] = value
        else:
            args.append(value)
    return Batch(*args, **kwargs)


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return torch.randn(shape).to(dtype)
    return torch.randint(0, 2, shape).to(dtype)
