"""ONNX files run by ONNX Runtime, without PyTorch: on a device that has nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from mendsearch.errors import UsageError
from mendsearch.latency.machine import Pass, cpu_name

CPU = "CPUExecutionProvider"
KIND = "onnxruntime"
SILENT = 4
"""Severity below which nothing is logged: what fails is raised too."""


class Sessions:
    """ONNX Runtime on this machine, with one of its execution providers.

    Args:
        threads: threads of one pass on a CPU.
        provider: execution provider, such as `CUDAExecutionProvider`; the CPU's if it is empty.
        extra: extra of this distribution that installs it with what the caller needs beside it.

    Raises:
        UsageError: ONNX Runtime is not installed, or lacks the provider.
    """

    kind = KIND

    def __init__(self, threads: int = 1, provider: str = "", extra: str = "device") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(f"runtime {KIND}: {error}; pip install 'mendsearch[{extra}]'") from error
        if threads < 1:
            raise UsageError(f"threads: got {threads}, expected 1 or more")
        available = onnxruntime.get_available_providers()
        self.threads, self.provider = threads, provider or CPU
        if self.provider not in available:
            known = ", ".join(available)
            raise UsageError(f"runtime {KIND}: got provider {self.provider}, expected one of {known}")
        self.name = f"{KIND}:{provider}" if provider else KIND
        self.version = str(onnxruntime.__version__)

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU that computes."""
        return self.provider == CPU

    @property
    def device(self) -> str:
        """Name of the CPU, or of the provider and the machine."""
        return cpu_name() if self.on_cpu else f"{self.provider} on {cpu_name()}"

    def running(self) -> AbstractContextManager[None]:
        """A scope in which passes are timed; the threads of a session are its own."""
        return nullcontext()

    def open(self, content: bytes, tensors: Sequence[np.ndarray]) -> tuple[Pass, list[np.ndarray]]:
        """Make a network ready to run, and run it once.

        Args:
            content: an ONNX file.
            tensors: its inputs, in the order of the file.

        Returns:
            a pass, and the outputs of the first one.

        Raises:
            Exception: whatever ONNX Runtime raises for an operator or a shape.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = SILENT
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(content, options, providers=[self.provider])
        feeds = dict(zip([one.name for one in session.get_inputs()], tensors, strict=True))

        def run() -> None:
            session.run(None, feeds)

        return run, session.run(None, feeds)
