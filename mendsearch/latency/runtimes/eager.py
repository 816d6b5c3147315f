"""PyTorch as it runs by itself: operator by operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.copying import copy_network
from mendsearch.latency.machine import Pass, cpu_name
from mendsearch.latency.runtimes.base import Runtime
from mendsearch.modes import to_network


class Eager(Runtime):
    """`torch`: eager mode, on a GPU where there is one."""

    name = "torch"
    dtypes = (torch.float32, torch.bfloat16, torch.float16)

    def __init__(self, threads: int, dtype: torch.dtype) -> None:
        super().__init__(threads, dtype)
        self.where = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def versions(self) -> dict[str, str]:
        """The version of PyTorch."""
        return {"torch": str(torch.__version__)}

    def device(self) -> str:
        """Name of the GPU, or of the CPU."""
        return torch.cuda.get_device_name(self.where) if self.where.type == "cuda" else cpu_name()

    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """A copy of the network in evaluation mode, on the device."""
        network = copy_network(model).to(self.where, self.dtype).eval()
        return self._pass(network, to_network(batch, network))

    def _pass(self, network: Any, batch: Batch) -> Pass:
        def run() -> None:
            with torch.inference_mode():
                batch.call(network)
                if self.where.type == "cuda":
                    torch.cuda.synchronize(self.where)

        return run
