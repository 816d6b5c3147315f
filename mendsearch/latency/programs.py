"""Programs that run ONNX files, by the name of a runtime; none of them needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mendsearch.errors import UsageError
from mendsearch.latency.machine import Machine, Pass
from mendsearch.latency.openvino import OpenVino
from mendsearch.latency.sessions import Sessions

PROGRAMS: dict[str, type[Sessions | OpenVino]] = {"onnxruntime": Sessions, "openvino": OpenVino}


class Program(Machine, Protocol):
    """What runs ONNX files.

    Attributes:
        kind: key in `PROGRAMS`.
        name: name of the runtime, with the provider or device that was asked for.
        version: its version.
    """

    kind: str
    name: str
    version: str

    @property
    def device(self) -> str:
        """Name of what computes."""

    def open(self, content: bytes, tensors: Sequence[np.ndarray]) -> tuple[Pass, list[np.ndarray]]:
        """Make a network ready to run, and run it once: a pass, and the outputs of the first one."""


def is_program(runtime: str) -> bool:
    """Whether a runtime runs ONNX files: `onnxruntime`, `onnxruntime:PROVIDER`, `openvino`, `openvino:DEVICE`."""
    return runtime.partition(":")[0] in PROGRAMS


def open_program(runtime: str, threads: int = 1, extra: str | None = None) -> Program:
    """A program on this machine.

    Args:
        runtime: see `is_program`.
        threads: threads of one pass on a CPU.
        extra: extra of this distribution that installs it; by default that of a device worker.

    Raises:
        UsageError: it is none, is not installed, or lacks what comes after the colon.
    """
    kind, _, provider = runtime.partition(":")
    if kind not in PROGRAMS:
        raise UsageError(f"device: got runtime {runtime!r}, expected one of {', '.join(PROGRAMS)}")
    return PROGRAMS[kind](threads, provider, *([] if extra is None else [extra]))
