"""ONNX Runtime, with one of its execution providers."""

from __future__ import annotations

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.latency.graphs import Graphs
from mendsearch.latency.machine import Pass
from mendsearch.latency.runtimes.base import Runtime
from mendsearch.latency.sessions import KIND, Sessions


class OnnxRuntime(Runtime):
    """`onnxruntime`, on the CPU, or `onnxruntime:PROVIDER`, such as `onnxruntime:CUDAExecutionProvider`."""

    name = KIND

    def __init__(self, threads: int, dtype: torch.dtype, provider: str = "") -> None:
        super().__init__(threads, dtype)
        self.sessions = Sessions(threads, provider, extra="onnx")
        self.name = self.sessions.name
        self._graphs = Graphs(self.sessions)

    def versions(self) -> dict[str, str]:
        """The version of ONNX Runtime; that of PyTorch decides what is exported."""
        return {KIND: self.sessions.version, "torch": str(torch.__version__)}

    def device(self) -> str:
        """Name of the CPU; of other providers, of the GPU that PyTorch sees, else the provider's."""
        if not self.sessions.on_cpu and torch.cuda.is_available():
            return torch.cuda.get_device_name()
        return self.sessions.device

    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """A session of the network's graph."""
        return self._graphs.graph(model, batch).run
