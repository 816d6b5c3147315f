"""Programs that run networks: one module each. They are asked for by name."""

from __future__ import annotations

import torch

from mendsearch.errors import UsageError
from mendsearch.latency.machine import Pass
from mendsearch.latency.runtimes.base import Runtime, written
from mendsearch.latency.runtimes.compiled import Compiled
from mendsearch.latency.runtimes.eager import Eager
from mendsearch.latency.runtimes.onnx import OnnxRuntime

NAMES = ("torch", "compile", "onnxruntime")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NOT_YET = {
    "openvino": "export the network to ONNX and measure it there",
    "tensorrt": "export the network to ONNX and measure it there",
}
"""Runtimes that people ask for and that cannot be measured through, with what to do instead."""

__all__ = ["DTYPES", "NAMES", "Pass", "Runtime", "open_runtime", "written"]


def open_runtime(name: str, threads: int = 1, dtype: str = "float32") -> Runtime:
    """A runtime on this machine.

    Args:
        name: `torch`, `compile`, `onnxruntime` or `onnxruntime:PROVIDER`.
        threads: threads of one pass on a CPU.
        dtype: dtype of weights and inputs, such as `float32`.

    Raises:
        UsageError: there is none of that name, it is not installed, or it does not compute in that dtype.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype: got {dtype!r}, expected one of {', '.join(DTYPES)}")
    if threads < 1:
        raise UsageError(f"threads: got {threads}, expected 1 or more")
    kind, _, provider = name.partition(":")
    if kind == "onnxruntime":
        return OnnxRuntime(threads, DTYPES[dtype], provider)
    if name == "torch":
        return Eager(threads, DTYPES[dtype])
    if name == "compile":
        return Compiled(threads, DTYPES[dtype])
    if kind in NOT_YET:
        raise UsageError(f"runtime {kind} is not supported; {NOT_YET[kind]}, or use one of {', '.join(NAMES)}")
    raise UsageError(f"runtime: got {name!r}, expected one of {', '.join(NAMES)}")
