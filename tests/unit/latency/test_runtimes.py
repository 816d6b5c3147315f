import shutil

import numpy as np
import pytest
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.graph import find_coupling
from mendsearch.errors import ModelError, UsageError
from mendsearch.latency.candidates import builder, random_structures
from mendsearch.latency.graphs import Graphs, _exchanged
from mendsearch.latency.runtimes import open_runtime
from mendsearch.latency.sessions import Sessions
from mendsearch.models.resnet import ResNet

MODEL = ResNet(depth=8, width=8, in_channels=3).eval()
IMAGES = torch.randn(2, 3, 16, 16)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_a_runtime_runs_candidates(name):
    runtime = open_runtime(name)
    coupling = find_coupling(MODEL, IMAGES)
    build, structures = builder(MODEL, coupling), random_structures(coupling, 0)
    for model in (MODEL, build(next(structures))):
        runtime.prepare(model, Batch.of(IMAGES[:1]))()
    assert runtime.versions()
    assert runtime.device()


@pytest.fixture(scope="module")
def graphs():
    """With the graph of the dense network."""
    made = Graphs(Sessions())
    made.graph(MODEL, Batch.of(IMAGES))
    return made


def pruned():
    coupling = find_coupling(MODEL, IMAGES)
    return builder(MODEL, coupling)(next(random_structures(coupling, 1)))


def trained():
    """The dense network with other weights of the same shapes."""
    return ResNet(depth=8, width=8, in_channels=3).eval()


# PyTorch alone needs no compiler, and is tested where there is none; CI installs one
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler; apt-get install g++")
def test_a_small_network_is_compiled():
    runtime = open_runtime("compile")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    runtime.prepare(model, Batch.of(IMAGES[:1]))()
    assert (runtime.name, runtime.versions()) == ("compile", {"torch": str(torch.__version__)})


@pytest.mark.parametrize("make", [pruned, trained])
@torch.no_grad()
def test_a_graph_with_exchanged_weights_is_the_candidate(graphs, make):
    candidate = make()
    exchanged = _exchanged(graphs._first, candidate).SerializeToString()
    _, outputs = Sessions().open(exchanged, [IMAGES.numpy()])
    np.testing.assert_allclose(outputs[0], candidate(IMAGES).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("openvino:NPU", "got device NPU, expected one of CPU"),
        ("tensorrt", "runtime tensorrt is not supported"),
        ("onnxruntime:NoProvider", "got provider NoProvider, expected one of"),
        ("tvm", "expected one of torch, compile, onnxruntime, openvino"),
    ],
)
def test_a_runtime_that_is_not_there_is_refused_in_one_line(name, words):
    with pytest.raises(UsageError, match=words) as caught:
        open_runtime(name)
    assert "\n" not in str(caught.value)


def test_a_dtype_that_the_runtime_lacks_is_refused():
    with pytest.raises(UsageError, match="dtype: got bfloat16 for runtime onnxruntime"):
        open_runtime("onnxruntime", dtype="bfloat16")


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) if x.sum().item() > 0 else x


def test_a_network_that_the_runtime_cannot_run_is_refused_in_one_line():
    with pytest.raises(ModelError) as caught:
        open_runtime("onnxruntime").prepare(Odd(), Batch.of(torch.randn(1, 4)))
    assert "\n" not in str(caught.value)
