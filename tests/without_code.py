"""Runs exported files where there is neither mendsearch nor the network's code: in a process that cannot import them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

OURS = ("mendsearch", "mendstore", "mendview", "examples", "tests", "user_model")
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
    """Outputs of a file, `.onnx` or `.pt2`, for images; `folder` is for what the two processes exchange."""
    given, found, format = folder / "images.npy", folder / "outputs.npz", path.suffix.removeprefix(".")
    np.save(given, images.numpy())
    code = "\n".join([READ.format(blocked=BLOCKED[format]), RUN[format], WRITE])
    subprocess.run([sys.executable, "-I", "-c", code, *map(str, (path, given, found))], check=True, cwd=folder)
    with np.load(found) as outputs:
        return [torch.from_numpy(output) for output in outputs.values()]
