"""Slots for workers on this machine: a device and a share of the cores for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mendsearch.cores import available_cores
from mendsearch.fleet.launch.devices import VISIBLE, Gpu

NO_GPU = {VISIBLE: ""}


@dataclass(frozen=True)
class Slot:
    """A slot for one worker.

    Attributes:
        index: number of the slot, from 0.
        device: name of the device, for people.
        environment: variables of a worker in this slot, in addition to those of all workers.
    """

    index: int
    device: str
    environment: Mapping[str, str]


def cpu_slots(workers: int, threads: int | None = None) -> list[Slot]:
    """Slots on the CPU; their workers see no GPU.

    Args:
        workers: number of slots, 1 or more.
        threads: threads per worker; None to divide the cores.
    """
    shared = thread_environment(workers, threads)
    return [Slot(index, "CPU", NO_GPU | shared) for index in range(workers)]


def gpu_slots(gpus: Sequence[Gpu], per_gpu: int = 1, threads: int | None = None) -> list[Slot]:
    """`per_gpu` slots on each GPU; the first ones are on different GPUs."""
    shared = thread_environment(len(gpus) * per_gpu, threads)
    in_turn = [gpu for _ in range(per_gpu) for gpu in gpus]
    return [Slot(index, gpu.label, {VISIBLE: gpu.handle, **shared}) for index, gpu in enumerate(in_turn)]


def thread_environment(workers: int, threads: int | None = None) -> dict[str, str]:
    """Variables that set PyTorch's threads per worker. Idle threads sleep: spinning would slow the other workers."""
    each = threads if threads is not None else max(1, available_cores() // workers)
    return {"OMP_NUM_THREADS": str(each), "OMP_WAIT_POLICY": "PASSIVE"}
