"""Files run where there is neither mendsearch nor the network's code: in a process that cannot import them."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import mendsearch
from examples.user_model.net import make_network
from mendsearch.models.registry import build_model

BLOCKED = "import sys; sys.modules.update(dict.fromkeys({blocked!r}, None)); "
ONNX = """
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    images = numpy.load(file)
numpy.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: images})[0])
"""
PT2 = """
import numpy, torch
module = torch.export.load(sys.argv[1]).module()
with open(sys.argv[2], "rb") as file:
    images = numpy.load(file)
numpy.save(sys.argv[3], module(torch.from_numpy(images)).detach().numpy())
"""
SCRIPTS = {"onnx": (ONNX, ["torch", "onnx"]), "pt2": (PT2, ["torchvision", "onnx"])}
OURS = ["mendsearch", "mendstore", "mendview", "examples", "tests", "user_model"]

NETWORKS = {
    "user_model": (lambda: make_network(width=12), (1, 16, 16)),
    "digits-resnet": (lambda: build_model("digits-resnet", {"width": 8}), (1, 8, 8)),
    "mobilenet_v3_small": (lambda: build_model("torchvision:mobilenet_v3_small", {"num_classes": 7}), (3, 64, 64)),
}


@pytest.mark.parametrize("format", SCRIPTS)
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_file_runs_in_a_process_without_the_code(tmp_path, name, format):
    make, shape = NETWORKS[name]
    model, images = make().eval(), torch.randn(6, *shape)
    written = mendsearch.export(model, tmp_path / f"net.{format}", images[:2])
    np.save(tmp_path / "images.npy", images.numpy())
    script, blocked = SCRIPTS[format]
    command = [sys.executable, "-I", "-c", BLOCKED.format(blocked=[*OURS, *blocked]) + script]
    files = [written.path, tmp_path / "images.npy", tmp_path / "outputs.npy"]
    subprocess.run([*command, *map(str, files)], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), model(images), rtol=1e-3, atol=1e-4)
