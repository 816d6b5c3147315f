"""`.pt2` files: graphs of PyTorch's operators, saved and loaded by `torch.export`."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError
from mendsearch.exporting.batches import Arguments
from mendsearch.exporting.comparison import Runner
from mendsearch.exporting.reasons import quiet, reason


def write_pt2(path: Path, program: ExportedProgram) -> None:
    """Write a graph with its weights.

    Args:
        path: file to write, under any name.
        program: the graph.

    Raises:
        ModelError: something in it cannot be written.
    """
    written = io.BytesIO()
    try:
        with quiet():
            torch.export.save(program, written)
    except Exception as error:  # it raises whatever the parts of a graph raise
        raise ModelError(f'export: the graph cannot be saved: {reason(error)}; try format="onnx"') from error
    path.write_bytes(written.getbuffer())


def pt2_runner(path: Path) -> Runner:
    """Run a file that this process has written."""
    with quiet():
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    def run(call: Arguments) -> list[Tensor]:
        args, kwargs = call
        return list(tensors_in(module(*args, **kwargs)))

    return run
