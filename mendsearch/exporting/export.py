"""A network as a file that other programs run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from mendsearch.artifacts import Pruned
from mendsearch.artifacts.inputs import example_of
from mendsearch.coupling.copying import dtype_of
from mendsearch.errors import ModelError, UsageError
from mendsearch.exporting.batches import arguments
from mendsearch.exporting.comparison import BATCH_SIZES, check
from mendsearch.exporting.onnx_file import check_packages, onnx_runner, output_names, write_onnx
from mendsearch.exporting.pt2_file import pt2_runner, write_pt2
from mendsearch.exporting.tracing import standalone, trace
from mendsearch.files import write_whole

Format = Literal["onnx", "pt2"]


@dataclass(frozen=True)
class Exported:
    """A file that was written and checked.

    Attributes:
        path: the file.
        format: `onnx` or `pt2`.
        inputs: names of the inputs.
        outputs: names of the outputs; a `.pt2` file gives them nested as the network does.
        batch_sizes: numbers of items on which outputs were compared with the network's.
        difference: largest difference of an output, relative to its largest value.
    """

    path: Path
    format: Format
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    difference: float


def export(
    network: Pruned | nn.Module,
    path: str | Path,
    example: Any = None,
    *,
    format: Format | None = None,
    batch: int | None = None,
) -> Exported:
    """Write a network as an ONNX or `.pt2` file, for batches of any size or of one.

    The file needs neither mendsearch nor the network's code. Its outputs are compared with the network's, in ONNX
    Runtime or in PyTorch, for several batch sizes; a file that differs by more than 1e-4 is not kept.

    Args:
        network: result of `mend`, or any network, such as a fine-tuned one; not changed. It is exported in evaluation
            mode, from a copy on the CPU.
        path: file to write; one that is there is replaced.
        example: items that the network reads: a tensor, a tuple of positional inputs or a dict of inputs by keyword,
            each with a first axis of items. Without it, a result of `mend` is given random items of the shape of its
            calibration data.
        format: `onnx` or `pt2`. Without it, the suffix of `path` says which.
        batch: number of items that the file takes, for networks that cannot be traced for any, such as detectors that
            loop over their images. Any number without it.

    Raises:
        UsageError: there is no example, ONNX is not installed, the format is unknown, or `batch` is below 1.
        ModelError: the network cannot be exported, or the file does not compute the same; the message says why.
    """
    path = Path(path)
    kind = _format(path, format)
    if batch is not None and batch < 1:
        raise UsageError(f"export: got batch {batch}, expected 1 or more")
    sizes = BATCH_SIZES if batch is None else (batch,)
    if kind == "onnx":
        check_packages()
    if isinstance(network, Pruned):
        example = example_of(network.structure.inputs) if example is None else example
        network = network.model
    if example is None:
        raise UsageError("export: got no example of the inputs; try mendsearch.export(model, path, images[:2])")
    if not isinstance(network, nn.Module):
        raise ModelError(f"export: got {type(network).__name__}, expected a torch.nn.Module or a result of `mend`")
    alone = standalone(network)
    if dtype_of(alone) not in (torch.float32, torch.float64):
        raise ModelError(f"export: the network computes in {dtype_of(alone)}, expected float32; try model.float()")
    call = arguments(example, alone)
    traced = trace(alone, call, batch)

    def write(partial: Path) -> float:
        if kind == "onnx":
            write_onnx(partial, traced)
        else:
            write_pt2(partial, traced.program)
        run = onnx_runner(partial) if kind == "onnx" else pt2_runner(partial)
        return check(traced.network, call, run, path.name, sizes)

    difference = write_whole(path, write)
    return Exported(path, kind, tuple(traced.inputs), tuple(output_names(traced)), sizes, difference)


def _format(path: Path, given: str | None) -> Format:
    kind = path.suffix.removeprefix(".") if given is None else given
    if kind not in get_args(Format):
        what = f"format {given!r}" if given is not None else f"{path.name}, without a format"
        raise UsageError(f'export: got {what}, expected "onnx" or "pt2"; try a path that ends with .onnx or .pt2')
    if path.is_dir():
        raise UsageError(f"export: {path} is a folder, expected a file; try {path / 'model'}.{kind}")
    return kind  # type: ignore[return-value]  # checked above
