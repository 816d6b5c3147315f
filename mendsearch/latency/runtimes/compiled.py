"""PyTorch with `torch.compile`: operators fused into generated code."""

from __future__ import annotations

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.copying import copy_network
from mendsearch.errors import ModelError, UsageError
from mendsearch.latency.machine import Pass
from mendsearch.latency.runtimes.eager import Eager
from mendsearch.modes import to_network


class Compiled(Eager):
    """`compile`: every network is compiled for its own shapes, which takes seconds to minutes."""

    name = "compile"

    def __init__(self, threads: int, dtype: torch.dtype) -> None:
        super().__init__(threads, dtype)
        if self.where.type == "cpu":
            from torch._inductor.cpp_builder import get_cpp_compiler
            from torch._inductor.exc import InvalidCxxCompiler

            try:
                get_cpp_compiler()
            except InvalidCxxCompiler as error:
                raise UsageError("runtime compile: torch.compile needs a C++ compiler; install g++ or clang") from error

    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """A copy of the network, compiled by a first pass."""
        network = copy_network(model).to(self.where, self.dtype).eval()
        placed = to_network(batch, network)
        torch._dynamo.reset()  # else it takes the widths of many networks for one that varies
        compiled = torch.compile(network, dynamic=False)
        run = self._pass(compiled, placed)
        try:
            run()
        except Exception as error:  # the compiler raises whatever a backend raises
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise ModelError(f"runtime compile: the network cannot be compiled: {why}; try --runtime torch") from error
        return run
