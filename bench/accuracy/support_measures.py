"""What is measured of one network: coupling groups, the law, MACs, and Torch-Pruning beside them."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.accuracy.support_law import distance, silenced, tensors
from bench.accuracy.support_networks import Network, lively
from bench.accuracy.support_results import results
from mendsearch.budget.costs import build_cost_model
from mendsearch.coupling.copying import copy_network
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.grouping import OUTPUT
from mendsearch.coupling.layout import Coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import MendsearchError
from mendsearch.modes import plain_attention

TOLERANCE = 1e-3
"""Largest difference in float32, relative to the largest output; a larger one is looked at again in float64."""
EXACT = 1e-7
"""Likewise in float64."""
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def made(network: Network) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The network in evaluation mode, and two items of each input."""
    torch.manual_seed(0)
    model = network.make().eval()
    for shape in network.shapes:
        inputs = tuple(torch.randn(2, *shape) for _ in range(network.count))
        try:
            with torch.no_grad():
                model(*inputs)
        except (RuntimeError, ValueError, AssertionError) as error:
            if shape == network.shapes[-1]:
                raise
            print(f"  takes no {shape}: {str(error)[:100]}", flush=True)
        else:
            lively(model, inputs)
            return model, inputs
    raise AssertionError(f"{network.title} has no shapes")


def measure(network: Network) -> dict[str, Any]:
    """Groups, share, reasons, law, MACs and seconds of one network; what was raised, where something was."""
    model, inputs = made(network)
    row: dict[str, Any] = {
        "inputs": list(inputs[0].shape[1:]),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    started = time.process_time()
    try:
        coupling = find_coupling(model, inputs if len(inputs) > 1 else inputs[0])
    except MendsearchError as error:
        return row | {"error": f"refused: {error}", "seconds": round(time.process_time() - started, 2)}
    row["seconds"] = round(time.process_time() - started, 2)
    row |= _described(model, coupling) | _costs(model, coupling, inputs)
    if coupling.groups and "error" not in row:
        row |= results(model, coupling, inputs, *_candidate(coupling))
    return row | _law(model, coupling, inputs)  # last, as it may leave the network in float64


def _described(model: nn.Module, coupling: Coupling) -> dict[str, Any]:
    counted = {id(module.weight): module for module in model.modules() if isinstance(module, LAYERS)}
    channels = sum(_channels(module) for module in counted.values())
    prunable = 0
    for tensor, dim in {output for group in coupling.groups for output in group.outputs}:
        module = model.get_submodule(tensor.rpartition(".")[0].partition(".parametrizations")[0])
        if isinstance(module, LAYERS):
            layout = dict(coupling.axes[tensor])[dim]
            prunable += round(_channels(module) * float((layout.group >= 0).mean()))
    whole: dict[str, dict[str, Any]] = {}
    for layer, reason in coupling.whole.items():
        kind = whole.setdefault(_kind(reason), {"layers": 0, "channels": 0, "first": layer, "reason": reason})
        kind["layers"] += 1
        kind["channels"] += _channels(model.get_submodule(layer))
    return {
        "outputs": [layer for layer, reason in coupling.whole.items() if reason == OUTPUT],
        "groups": len(coupling.groups), "share": round(prunable / max(channels, 1), 4), "whole": whole,
        "channels_last": coupling.channels_last,
    }  # fmt: skip


def _channels(module: nn.Module) -> int:
    return int(getattr(module, "out_channels", getattr(module, "out_features", 0)))


def _kind(reason: str) -> str:
    """A reason without the places that it names."""
    return re.sub(r" \(`[^`]*`\)$", "", re.sub(r",? in (`[^`]*`|the network's forward pass).*$", "", reason))


def _candidate(coupling: Coupling) -> tuple[list[np.ndarray], np.ndarray]:
    """A random order of every coupling group's channels, and random keep counts."""
    generator = np.random.default_rng(0)
    orders = [generator.permutation(width) for width in coupling.widths]
    return orders, np.array([generator.integers(1, width + 1) for width in coupling.widths], dtype=np.int64)


def _costs(model: nn.Module, coupling: Coupling, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    """MACs by our cost model and by PyTorch's counter, of the dense and of a pruned network, for one item."""
    costs, one = build_cost_model(model, coupling), tuple(tensor[:1] for tensor in inputs)
    row: dict[str, Any] = {"macs": costs.cost(coupling.widths)["macs"], "macs_counted": _counted(model, one)}
    row["macs_least"] = costs.cost(np.ones_like(coupling.widths))["macs"]
    if coupling.groups:
        orders, counts = _candidate(coupling)
        slicer = Slicer(model, coupling, orders)
        state = slicer.slice(counts)
        try:
            built = build_pruned(model, state, slicer.sizes(state)).eval()
            row |= {"macs_pruned": costs.cost(counts)["macs"], "macs_pruned_counted": _counted(built, one)}
        except Exception as error:  # a forward may raise anything
            row["error"] = f"the pruned network fails: {_line(error)}"
    return row


@torch.no_grad()
def _counted(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    model = copy_network(model).requires_grad_(False)  # the counter looks for gradients where it finds such parameters
    with (
        plain_attention(),  # PyTorch's counter does not see the products in its fused operator
        sdpa_kernel(SDPBackend.MATH),  # nor in that of attention on a CPU
        FlopCounterMode(display=False) as counter,
    ):
        model(*inputs)
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def _law(model: nn.Module, coupling: Coupling, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    if not coupling.groups:
        return {}
    try:
        errors = _errors(model, coupling, inputs)
        if max(errors[:2]) > TOLERANCE:
            exact = _errors(model.double(), coupling, tuple(tensor.double() for tensor in inputs))
            return _told(exact, EXACT) | {"law_float32": [_short(error) for error in errors[:2]]}
        return _told(errors, TOLERANCE)
    except Exception as error:  # a forward may raise anything
        return {"error": f"the law cannot be tried: {_line(error)}"}


def _told(errors: tuple[float, float, float], limit: float) -> dict[str, Any]:
    built, whole, changed = errors
    law = max(built, whole) <= limit and changed > 2 * limit
    return {"law": law, "built_error": _short(built), "silenced_error": _short(whole), "changed": _short(changed)}


def _errors(model: nn.Module, coupling: Coupling, inputs: tuple[Tensor, ...]) -> tuple[float, float, float]:
    """How far the sliced network is from the one that is built, from the dense one silenced, and from the dense one.

    The last says that the law was tried: where removing channels changed nothing, nothing was.
    """
    orders, counts = _candidate(coupling)
    slicer = Slicer(model, coupling, orders)
    kept = slicer.kept(counts)
    state = slicer.take(kept)
    with slicer.sized(state):
        sliced = tensors(slicer.forward(state, inputs))
    built = tensors(build_pruned(model, state, slicer.sizes(state)).eval()(*inputs))
    whole = silenced(model, coupling, kept, slicer.dense, inputs)
    return distance(sliced, built), distance(sliced, whole), distance(sliced, tensors(model(*inputs)))


def _short(number: float) -> float | str:
    return "inf" if number == float("inf") else float(f"{number:.1e}")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:160]


def measure_peer(network: Network, outputs: tuple[str, ...]) -> dict[str, Any]:
    """Torch-Pruning's dependency graph of the same network: groups, share, whether it runs at half the channels.

    Args:
        network: as ours was measured.
        outputs: layers whose channels are the network's outputs; it does not find them by itself.
    """
    import torch_pruning as tp

    model, inputs = made(network)
    example: Any = inputs if len(inputs) > 1 else inputs[0]
    started = time.process_time()
    try:
        graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)
        groups = list(graph.get_all_groups(root_module_types=list(LAYERS)))
    except Exception as error:  # a peer may raise anything
        return {"error": _line(error), "seconds": round(time.process_time() - started, 2)}
    row: dict[str, Any] = {"groups": len(groups), "seconds": round(time.process_time() - started, 2)}
    last = {id(model.get_submodule(layer)) for layer in outputs}
    seen: dict[int, int] = {}
    for group in groups:
        given = [item.dep for item in group if "out_channels" in getattr(item.dep.handler, "__name__", "")]
        layers = [dependency.target.module for dependency in given]
        if not any(id(layer) in last for layer in layers):
            seen |= {id(layer): _channels(layer) for layer in layers if isinstance(layer, LAYERS)}
    channels = sum(_channels(module) for module in model.modules() if isinstance(module, LAYERS))
    row["share"] = round(sum(seen.values()) / max(channels, 1), 4)
    started = time.process_time()
    try:
        ignored = [module for module in model.modules() if id(module) in last]
        pruner = tp.pruner.BasePruner(
            model, example, importance=tp.importance.RandomImportance(), pruning_ratio=0.5, ignored_layers=ignored
        )
        pruner.step()
        with torch.no_grad():
            model(*inputs)
    except Exception as error:  # a peer may raise anything
        row["fails"] = _line(error)
    row["pruning_seconds"] = round(time.process_time() - started, 2)
    return row
