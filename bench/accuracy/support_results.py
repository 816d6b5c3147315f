"""What is done with a pruned network: its outputs are scored against the dense network's, and it is exported."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.coupling.layout import Coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import MendsearchError
from mendsearch.exporting import export
from mendsearch.outputs import comparison_of


def results(
    model: nn.Module, coupling: Coupling, inputs: tuple[Tensor, ...], orders: list[np.ndarray], counts: np.ndarray
) -> dict[str, Any]:
    """How a candidate's outputs are compared, its divergence, and the largest difference of its `.pt2` file.

    Args:
        model: the dense network.
        coupling: of it.
        inputs: of the network, two items.
        orders: of every coupling group, its channels, best first.
        counts: channels that are kept.
    """
    slicer = Slicer(model, coupling, orders)
    state = slicer.slice(counts)
    built = build_pruned(model, state, slicer.sizes(state)).eval()
    return _scored(model, built, inputs) | _exported(built, inputs)


@torch.no_grad()
def _scored(model: nn.Module, built: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    try:
        comparison = comparison_of(model, Batch(*inputs))
        compared = {output.name: output.divergence for output in comparison.outputs}
        dense, found = (comparison.prepare(network(*inputs)) for network in (model, built))
        divergence = float(comparison.mean(comparison.divergences(found, dense)).mean())
    except MendsearchError as error:
        return {"unscored": str(error)}
    return {"compared": compared, "divergence": float(f"{divergence:.2g}")}


def _exported(built: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for batch in (None, len(inputs[0])):
            try:
                difference = export(built, Path(folder) / "network.pt2", inputs, batch=batch).difference
            except MendsearchError as error:
                found["unexported" if batch else "fixed"] = str(error)
            else:
                return found | {"pt2": float(f"{difference:.1g}")}
    return found
