"""ONNX files: written by PyTorch's exporter, checked in ONNX Runtime."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError, UsageError
from mendsearch.exporting.batches import Arguments
from mendsearch.exporting.comparison import Runner
from mendsearch.exporting.reasons import quiet, reason
from mendsearch.exporting.tracing import BATCH, Traced

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = 2**31 - 2**24
"""Of weights: a file of protocol buffers holds less than 2 GB."""


def check_packages() -> None:
    """See that the extra `onnx` is installed.

    Raises:
        UsageError: a package of it is missing.
    """
    for name in PACKAGES:
        try:
            with quiet():
                importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"export: ONNX needs {name}: {error}; pip install 'mendsearch[onnx]'") from error


def write_onnx(path: Path, traced: Traced) -> None:
    """Write a graph of PyTorch's operators as ONNX.

    Args:
        path: file to write, under any name.
        traced: the network.

    Raises:
        ModelError: an operator has no ONNX form, or the weights do not fit into one file.
    """
    size = sum(tensor.nbytes for tensor in traced.program.state_dict.values())
    if size > MOST_BYTES:
        raise ModelError(f'export: got weights of {size:,} bytes, expected less than 2 GB for ONNX; try format="pt2"')
    try:
        with quiet():
            converted = torch.onnx.export(
                traced.program,
                output_names=output_names(traced),
                dynamic_shapes=None if traced.items else [{0: BATCH} for _ in traced.inputs],
                verbose=False,
            )
    except Exception as error:  # it raises whatever the conversion of an operator raises
        raise ModelError(f'export: the network has no ONNX form: {reason(error)}; try format="pt2"') from error
    assert converted is not None  # it is only None where it was given a path
    _distinguish(converted.model.graph)
    for value, name in zip(converted.model.graph.inputs, traced.inputs, strict=True):
        value.name = name  # the exporter gives another one to an input that is an output too
    converted.save(path, external_data=False)


def _distinguish(graph: Any) -> None:
    """Give values within a graph (`onnx_ir.Graph`) other names than its outputs have, since the exporter does not."""
    outputs = {id(value): value.name for value in graph.outputs}
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.name in outputs.values() and id(value) not in outputs:
                value.name = f"{value.name}_within"


def output_names(traced: Traced) -> list[str]:
    """Names for the tensors of a network's outputs: `output`, or the keys and positions that lead to each."""
    names = ["_".join(path) or "output" for path in _paths(traced.outputs, ())]
    if not isinstance(traced.outputs, Mapping | Tensor):
        names = [f"output_{name}" for name in names]
    taken = {*traced.inputs, *traced.program.state_dict}
    return [f"output_{name}" if name in taken else name for name in names]


def _paths(outputs: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(outputs, Tensor):
        yield path
    elif isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from _paths(value, (*path, str(key)))
    elif isinstance(outputs, list | tuple):
        for number, value in enumerate(outputs):
            yield from _paths(value, (*path, str(number)))


def onnx_runner(path: Path) -> Runner:
    """Run an ONNX file on the CPU, with the optimizations that ONNX Runtime makes by itself."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(call: Arguments) -> list[Tensor]:
        arrays = [tensor.numpy() for tensor in tensors_in(call)]
        return [torch.from_numpy(array) for array in session.run(None, dict(zip(names, arrays, strict=True)))]

    return run
