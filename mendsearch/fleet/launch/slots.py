"""Places for workers on this machine: a device each, and a share of the cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mendsearch.fleet.launch.devices import VISIBLE, Gpu

NO_GPU = {VISIBLE: ""}


@dataclass(frozen=True)
class Slot:
    """A place for one worker.

    Attributes:
        index: from 0.
        device: for people.
        environment: what a worker there has beside the environment of all.
    """

    index: int
    device: str
    environment: Mapping[str, str]


def cpu_slots(workers: int, threads: int | None = None) -> list[Slot]:
    """Places on the CPU; GPUs are hidden from them.

    Args:
        workers: how many, 1 or more.
        threads: for each; without it the cores are divided.
    """
    shared = thread_environment(workers, threads)
    return [Slot(index, "CPU", NO_GPU | shared) for index in range(workers)]


def gpu_slots(gpus: Sequence[Gpu], per_gpu: int = 1, threads: int | None = None) -> list[Slot]:
    """`per_gpu` places on each GPU; the first ones are on different GPUs."""
    shared = thread_environment(len(gpus) * per_gpu, threads)
    places = [gpu for _ in range(per_gpu) for gpu in gpus]
    return [Slot(index, gpu.label, {VISIBLE: gpu.handle, **shared}) for index, gpu in enumerate(places)]


def thread_environment(workers: int, threads: int | None = None) -> dict[str, str]:
    """Threads of PyTorch for each of so many workers, which wait asleep: spinning slows the other workers."""
    each = threads if threads is not None else max(1, available_cores() // workers)
    return {"OMP_NUM_THREADS": str(each), "OMP_WAIT_POLICY": "PASSIVE"}


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
