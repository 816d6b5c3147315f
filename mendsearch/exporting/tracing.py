"""A network as a graph of PyTorch's operators, which knows no code of the network's."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from mendsearch.coupling.copying import copy_network, unwrapped
from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError
from mendsearch.exporting.batches import Arguments, batch_of
from mendsearch.exporting.reasons import quiet, reason

BATCH = "batch"
"""Name of the axis of items."""
ITEMS = 2
"""Items of the batch that is traced: a size of one would be taken for a constant."""


def plain(outputs: Any) -> Any:
    """Outputs as tuples, lists and dicts, in place of classes that a reader of the file may not have.

    Named tuples, dataclasses and other mappings become dicts of their fields that are not None.
    """
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, Mapping):
        outputs = {field.name: getattr(outputs, field.name) for field in dataclasses.fields(outputs)}
    elif hasattr(outputs, "_asdict"):
        outputs = outputs._asdict()
    if isinstance(outputs, Mapping):
        return {str(key): plain(value) for key, value in outputs.items() if value is not None}
    if isinstance(outputs, list | tuple):
        return type(outputs)(plain(value) for value in outputs)
    return outputs


def standalone(model: nn.Module) -> nn.Module:
    """A copy of a network on the CPU, in evaluation mode, with plain outputs."""
    network = copy_network(unwrapped(model)).cpu().eval()
    forward = network.forward

    @functools.wraps(forward)  # the inputs keep their names
    def with_plain_outputs(*args: Any, **kwargs: Any) -> Any:
        return plain(forward(*args, **kwargs))

    network.forward = with_plain_outputs
    return network


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """A network and its graph.

    Attributes:
        network: with plain outputs, in evaluation mode, on the CPU.
        program: its graph, without the example and without paths of this machine.
        outputs: of the network, for the example.
        items: number of items that it takes; None for any.
    """

    network: nn.Module
    program: ExportedProgram
    outputs: Any
    items: int | None = None

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in the order of a call."""
        return [str(name) for name in self.program.graph_signature.user_inputs]


def trace(network: nn.Module, call: Arguments, items: int | None = None) -> Traced:
    """Trace a network.

    Args:
        network: as `standalone` gives it.
        call: an example of its arguments.
        items: number of items that the graph takes; None for any.

    Raises:
        ModelError: it refuses the example, or cannot be traced.
    """
    args, kwargs = sized = batch_of(call, items or ITEMS)
    try:
        with torch.no_grad():
            outputs = network(*args, **kwargs)
    except Exception as error:  # a forward may raise anything
        raise ModelError(
            f"export: the network refuses the example: {reason(error)}; give `example`, inputs as in training"
        ) from error
    if not list(tensors_in(outputs)):
        raise ModelError(f"export: the network gives a {type(outputs).__name__} without tensors, expected tensors")
    shapes, batch = ShapesCollection(), Dim(BATCH)
    for tensor in tensors_in(sized):
        shapes[tensor] = {0: batch}
    try:
        program = _graph(network, sized, None if items else shapes)
    except Exception as error:  # tracing raises whatever a forward raises
        raise ModelError(_untraceable(items, reason(error))) from error
    return Traced(network, _without_origin(program), outputs, items)


def _untraceable(items: int | None, why: str) -> str:
    if items:
        return f"export: the network cannot be traced: {why}; rewrite what depends on values"
    return (
        f"export: the network cannot be traced for any batch size: {why}; "
        f"try one of batch=1 (`--batch 1`), or rewrite what depends on values or on the number of items"
    )


def _graph(network: nn.Module, call: Arguments, shapes: ShapesCollection | None) -> ExportedProgram:
    """The graph of what runs, or else of what the bytecode says: there `len(images)` is no constant."""
    args, kwargs = call
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(network, args, kwargs, dynamic_shapes=shapes, strict=False)
        except Exception as error:  # any
            with contextlib.suppress(Exception):
                return torch.export.export(network, args, kwargs, dynamic_shapes=shapes, strict=True)
            raise error


def _without_origin(program: ExportedProgram) -> ExportedProgram:
    """Take out what is nobody's business: the example, and where the code was on this machine."""
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program
