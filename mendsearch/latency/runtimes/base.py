"""What every runtime gives: a network that is ready to run, and what its times depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.errors import UsageError
from mendsearch.latency.machine import Pass, cpu_name


class Runtime(ABC):
    """A program that runs networks on a device.

    Args:
        threads: threads of one pass on a CPU.
        dtype: dtype of weights and inputs.

    Raises:
        UsageError: the runtime is not installed, or does not compute in that dtype.
    """

    name: str
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)

    def __init__(self, threads: int, dtype: torch.dtype) -> None:
        if dtype not in self.dtypes:
            known = ", ".join(written(one) for one in self.dtypes)
            raise UsageError(f"dtype: got {written(dtype)} for runtime {self.name}, expected one of {known}")
        self.threads, self.dtype = threads, dtype

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the packages that times depend on."""

    @abstractmethod
    def device(self) -> str:
        """Name of the device, such as that of the CPU or GPU."""

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU that computes."""
        return self.device() == cpu_name()

    @contextmanager
    def running(self) -> Iterator[None]:
        """A scope in which passes are timed, with as many threads as asked for."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    @abstractmethod
    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """Make a network ready to run.

        Args:
            model: a plain network; not changed.
            batch: its inputs, as many items as a pass takes.

        Raises:
            ModelError: the runtime lacks an operator of the network.
        """


def written(dtype: torch.dtype) -> str:
    """The name of a dtype without `torch.`."""
    return str(dtype).removeprefix("torch.")
