"""oneDNN's fault in a process of its own, since it ends the process that it happens in."""

import subprocess
import sys

import pytest

STEP = """
import copy, sys
import torch
from torch.utils.data import TensorDataset
from mendsearch.config import TrainSpec
from mendsearch.training.loop import train

form = torch.channels_last if sys.argv[1] == "last" else torch.contiguous_format
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.Conv2d(5, 10, 1, stride=2), torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(10, 4),
).to(memory_format=form)
images, labels = torch.rand(256, 3, 28, 28), torch.arange(256) % 4
spec = TrainSpec(epochs=2, batch_size=64, learning_rate=0.01)
augment = lambda batch, generator: batch.contiguous(memory_format=form)
plain = copy.deepcopy(model)
train(model, TensorDataset(images, labels), spec, seed=0, augment=augment)
with torch.backends.mkldnn.flags(enabled=False):
    train(plain, TensorDataset(images, labels), spec, seed=0, augment=augment)
for trained, wanted in zip(model.parameters(), plain.parameters()):
    torch.testing.assert_close(trained, wanted, atol=1e-4, rtol=1e-3)
print(sum(len(module._forward_pre_hooks) for module in model.modules()), "hooks left")
"""


@pytest.mark.parametrize("form", ["last", "first"])
def test_strided_pointwise_convolutions_of_few_channels_are_trained(form):
    command = [sys.executable, "-c", STEP, form]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # the fault may hang
    assert (ended.returncode, ended.stdout) == (0, "0 hooks left\n"), ended.stderr
