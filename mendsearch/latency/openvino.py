"""ONNX files run by OpenVINO, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from mendsearch.errors import UsageError
from mendsearch.latency.machine import Pass, cpu_name

CPU = "CPU"


class OpenVino:
    """OpenVINO on this machine, on one of its devices.

    Args:
        threads: threads of one pass on a CPU.
        provider: device as OpenVINO names it, such as `GPU` or `NPU`; the CPU if it is empty.
        extra: extra of this distribution that installs it with what the caller needs beside it.

    Raises:
        UsageError: OpenVINO is not installed, or lacks the device.
    """

    kind = "openvino"

    def __init__(self, threads: int = 1, provider: str = "", extra: str = "openvino") -> None:
        try:
            import openvino
        except ImportError as error:
            raise UsageError(f"runtime {self.kind}: {error}; pip install 'mendsearch[{extra}]'") from error
        if threads < 1:
            raise UsageError(f"threads: got {threads}, expected 1 or more")
        self._core = openvino.Core()
        self.threads, self._device = threads, provider or CPU
        if self._device not in self._core.available_devices:
            known = ", ".join(self._core.available_devices)
            raise UsageError(f"runtime {self.kind}: got device {self._device}, expected one of {known}")
        self.name = f"{self.kind}:{provider}" if provider else self.kind
        self.version = str(openvino.__version__).partition("-")[0]

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU that computes. With one thread a pass runs in the thread that calls it."""
        return self._device == CPU

    @property
    def device(self) -> str:
        """Name of the CPU, or of the device as OpenVINO knows it."""
        return cpu_name() if self.on_cpu else str(self._core.get_property(self._device, "FULL_DEVICE_NAME"))

    def running(self) -> AbstractContextManager[None]:
        """A scope in which passes are timed; the threads of a network are its own."""
        return nullcontext()

    def open(self, content: bytes, tensors: Sequence[np.ndarray]) -> tuple[Pass, list[np.ndarray]]:
        """Make a network ready to run, and run it once.

        Args:
            content: an ONNX file.
            tensors: its inputs, in the order of the file.

        Returns:
            a pass, and the outputs of the first one.

        Raises:
            Exception: whatever OpenVINO raises for an operator or a shape.
        """
        options: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if self.on_cpu:
            options |= {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1}
        compiled = self._core.compile_model(self._core.read_model(content), self._device, options)
        request, given = compiled.create_infer_request(), list(tensors)

        def run() -> None:
            request.infer(given, share_inputs=True)

        run()
        return run, [np.array(request.get_output_tensor(place).data) for place in range(len(compiled.outputs))]
