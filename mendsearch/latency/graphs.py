"""ONNX graphs of one network's candidates."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError, UsageError
from mendsearch.exporting.batches import arguments
from mendsearch.exporting.reasons import quiet, reason
from mendsearch.exporting.tracing import standalone, trace
from mendsearch.latency.machine import Pass
from mendsearch.latency.programs import Program

CLOSE = 1e-3
"""Difference of outputs, relative to the largest, up to which a graph with exchanged weights is that network."""


@dataclass(frozen=True)
class Graph:
    """A network as ONNX, which ran once.

    Attributes:
        content: content of the file.
        run: a pass in this process.
    """

    content: bytes
    run: Pass


class Graphs:
    """ONNX graphs of one network's candidates.

    The first network is exported; later ones are its graph with weights exchanged, which takes milliseconds. Where that
    does not give the outputs of the network, it is exported too.

    Args:
        program: what graphs are run in.

    Raises:
        UsageError: a package that exports is not installed.
    """

    def __init__(self, program: Program) -> None:
        try:
            with quiet():
                import onnx  # noqa: F401  # the exporter needs both
                import onnxscript  # noqa: F401
        except ImportError as error:
            raise UsageError(f"runtime {program.name}: {error}; pip install 'mendsearch[onnx]'") from error
        self.program = program
        self._first: Any = None

    def graph(self, model: nn.Module, batch: Batch) -> Graph:
        """The graph of a network.

        Args:
            model: a plain network; not changed.
            batch: its inputs, as many items as a pass takes.

        Raises:
            ModelError: it cannot be exported, or the runtime lacks an operator.
        """
        network = standalone(model)
        call = arguments(batch, network)
        if self._first is not None and (made := _exchanged(self._first, network)) is not None:
            content = made.SerializeToString()
            try:
                run, outputs = self.program.open(content, arrays(call))
            except Exception:  # shapes that the graph holds as constants; the runtime has many names for that
                outputs = []
            if outputs and _same(outputs, network, call):
                return Graph(content, run)
        traced = trace(network, call, len(batch))
        try:
            with quiet():
                program = torch.onnx.export(traced.program, optimize=False, verbose=False)
            assert program is not None  # it is only None where it was given a path
            made = program.model_proto
            content = made.SerializeToString()
            run, _ = self.program.open(content, arrays(call))
        except Exception as error:  # exporter and runtime raise whatever an operator raises
            raise ModelError(
                f"runtime {self.program.name} lacks an operator of the network: {reason(error)}; try --runtime torch"
            ) from error
        if self._first is None:
            self._first = made
        return Graph(content, run)


def arrays(call: Any) -> list[np.ndarray]:
    """Inputs of a graph, in its order, from the arguments of a call."""
    return [tensor.numpy() for tensor in tensors_in(call)]


def inputs_file(model: nn.Module, batch: Batch) -> bytes:
    """Content of an .npz file with the inputs of a graph, in its order."""
    file = io.BytesIO()
    np.savez(file, *arrays(arguments(batch, standalone(model))))
    return file.getvalue()


def _exchanged(graph: Any, network: nn.Module) -> Any | None:
    """A graph with the weights of another network of the same modules; None if it lacks one of them."""
    import onnx

    state, modules = network.state_dict(), dict(network.named_modules())
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    held = {initializer.name for initializer in made.graph.initializer}
    _flatten_freely(made.graph)
    del made.graph.value_info[:]
    for initializer in made.graph.initializer:
        if initializer.name not in state:
            continue
        held_there, array = onnx.numpy_helper.to_array(initializer), state[initializer.name].contiguous().numpy()
        if not np.array_equal(held_there, array):
            initializer.CopyFrom(onnx.numpy_helper.from_array(array, initializer.name))
    for node in made.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        module = modules.get(node.input[1].rpartition(".")[0])
        if module is None or node.input[1] not in held:
            return None
        for attribute in node.attribute:
            if attribute.name == "group":
                attribute.i = int(module.groups)
    return made


def _flatten_freely(graph: Any) -> None:
    """Let every reshape to (items, features) find the number of features, which is not that of the first network."""
    import onnx

    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.value_info}
    for number, node in enumerate([node for node in graph.node if node.op_type == "Reshape"]):
        shape = shapes.get(node.output[0], [])
        if len(shape) == 2 and min(shape) > 0:
            free = onnx.numpy_helper.from_array(np.array([shape[0], -1], dtype=np.int64), f"mendsearch_shape_{number}")
            graph.initializer.append(free)
            node.input[1] = free.name


@torch.no_grad()
def _same(outputs: list[np.ndarray], network: nn.Module, call: Any) -> bool:
    args, kwargs = call
    expected = [tensor.numpy() for tensor in tensors_in(network(*args, **kwargs))]
    return len(expected) == len(outputs) and all(
        mine.shape == theirs.shape and np.abs(mine - theirs).max() <= CLOSE * max(1e-6, float(np.abs(theirs).max()))
        for mine, theirs in zip(outputs, expected, strict=True)
    )
