import pytest
import torch
from torch import Tensor, nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.probe import probe
from mendsearch.errors import CouplingError
from tests.zoo import IMAGES, NETWORKS, build, conv


@pytest.mark.parametrize("name", NETWORKS)
def test_the_zoo_bears_the_loss_of_channels(name):
    model = build(name).train()
    probe(model, find_coupling(model, IMAGES), IMAGES)
    assert model.training


class HardCoded(nn.Module):
    """Writes a channel count into its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.inner = Reshaping()
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.inner(self.stem(x)))


class Reshaping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], 8, 64).mean(2)


def test_a_size_written_into_the_forward_pass_is_found_with_its_layer():
    model = HardCoded().eval()
    with pytest.raises(CouplingError, match=r"fails once channels go, in `inner`: .*\[2, 8, 64\]"):
        probe(model, find_coupling(model, IMAGES), IMAGES)


class Rolled(nn.Module):
    """Moves channels about where tracing cannot see it: every shape fits, every value is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.last = conv(8, 6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(torch.roll(self.stem(x), 3, 1)).mean((2, 3)))


def test_channels_that_are_moved_about_unseen_are_found():
    model = Rolled().eval()
    with pytest.raises(CouplingError, match="moves or mixes channels"):
        probe(model, find_coupling(model, IMAGES), IMAGES)
