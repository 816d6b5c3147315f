"""Programs that run networks: one module each. They are asked for by name."""

from __future__ import annotations

import torch

from mendsearch.errors import UsageError
from mendsearch.latency.machine import Pass
from mendsearch.latency.programs import PROGRAMS, is_program, open_program
from mendsearch.latency.runtimes.base import Runtime, written
from mendsearch.latency.runtimes.compiled import Compiled
from mendsearch.latency.runtimes.eager import Eager
from mendsearch.latency.runtimes.onnx import FromOnnx

NAMES = ("torch", "compile", *PROGRAMS)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NOT_YET = {"tensorrt": "try onnxruntime:TensorrtExecutionProvider, where ONNX Runtime has it"}
"""Runtimes that people ask for and that cannot be measured through, with what to do instead."""

EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
"""Extras of this distribution that install a program with what exports the network."""

__all__ = ["DTYPES", "NAMES", "Pass", "Runtime", "open_runtime", "written"]


def open_runtime(name: str, threads: int = 1, dtype: str = "float32") -> Runtime:
    """A runtime on this machine.

    Args:
        name: `torch`, `compile`, `onnxruntime`, `onnxruntime:PROVIDER`, `openvino` or `openvino:DEVICE`.
        threads: threads of one pass on a CPU.
        dtype: dtype of weights and inputs, such as `float32`.

    Raises:
        UsageError: there is none of that name, it is not installed, or it does not compute in that dtype.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype: got {dtype!r}, expected one of {', '.join(DTYPES)}")
    if threads < 1:
        raise UsageError(f"threads: got {threads}, expected 1 or more")
    kind = name.partition(":")[0]
    if is_program(name):
        return FromOnnx(open_program(name, threads, EXTRAS[kind]), DTYPES[dtype])
    if name == "torch":
        return Eager(threads, DTYPES[dtype])
    if name == "compile":
        return Compiled(threads, DTYPES[dtype])
    if kind in NOT_YET:
        raise UsageError(f"runtime {kind} is not supported; {NOT_YET[kind]}, or one of {', '.join(NAMES)}")
    raise UsageError(f"runtime: got {name!r}, expected one of {', '.join(NAMES)}")
