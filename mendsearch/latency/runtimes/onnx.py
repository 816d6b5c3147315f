"""Runtimes that run the network as ONNX: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.latency.graphs import Graphs
from mendsearch.latency.machine import Pass
from mendsearch.latency.programs import Program
from mendsearch.latency.runtimes.base import Runtime


class FromOnnx(Runtime):
    """`onnxruntime` or `openvino`, by themselves or with a provider or device after a colon.

    Args:
        program: what runs the files.
        dtype: dtype of weights and inputs.
    """

    def __init__(self, program: Program, dtype: torch.dtype) -> None:
        self.name, self.program = program.name, program
        super().__init__(program.threads, dtype)
        self._graphs = Graphs(program)

    def versions(self) -> dict[str, str]:
        """The version of the program; that of PyTorch decides what is exported."""
        return {self.program.kind: self.program.version, "torch": str(torch.__version__)}

    def device(self) -> str:
        """Name of the CPU; of other devices, of the GPU that PyTorch sees, else the program's."""
        if not self.program.on_cpu and torch.cuda.is_available():
            return torch.cuda.get_device_name()
        return self.program.device

    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """A session of the network's graph."""
        return self._graphs.graph(model, batch).run
