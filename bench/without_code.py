"""Exported files in a process that can import neither mendsearch nor the network's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

OURS = ("mendsearch", "mendstore", "mendview", "bench", "examples", "tests", "user_model")
BLOCKED = {"onnx": (*OURS, "torch", "onnx"), "pt2": (*OURS, "torchvision", "onnx")}
READ = (
    "import sys; sys.modules.update(dict.fromkeys({blocked!r}, None)); import numpy; images = numpy.load(sys.argv[2])"
)
RUN = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
outputs = session.run(None, {session.get_inputs()[0].name: images})
""",
    "pt2": """
import torch
outputs = torch.export.load(sys.argv[1]).module()(torch.from_numpy(images))
outputs = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
outputs = [output.detach().numpy() for output in outputs]
""",
}
WRITE = "numpy.savez(sys.argv[3], *outputs)"


def run_without_code(path: Path, images: Tensor, folder: Path) -> list[Tensor]:
    """Outputs of a file for images.

    Args:
        path: the file, `.onnx` or `.pt2`.
        images: (N, …) what the network reads.
        folder: for what the two processes exchange.

    Raises:
        RuntimeError: the process failed; the message is the last line that it wrote.
    """
    given, found, format = folder / "images.npy", folder / "outputs.npz", path.suffix.removeprefix(".")
    np.save(given, images.numpy())
    code = "\n".join([READ.format(blocked=BLOCKED[format]), RUN[format], WRITE])
    command = [sys.executable, "-I", "-c", code, *map(str, (path, given, found))]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(ended.stderr.strip().splitlines()[-1])
    with np.load(found) as outputs:
        return [torch.from_numpy(output) for output in outputs.values()]
