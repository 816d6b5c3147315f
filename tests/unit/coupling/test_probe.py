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


class Crossed(nn.Module):
    """The halves of a convolution's channels, put together the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.stem(x).chunk(2, 1)
        return self.fc(torch.cat([second, first], 1).mean((2, 3)))


def test_halves_that_change_places_are_refused_in_one_line():
    model = Crossed().eval()
    with pytest.raises(CouplingError) as caught:
        probe(model, find_coupling(model, IMAGES), IMAGES)
    assert "\n" not in str(caught.value)


def test_transposed_convolutions_bear_the_loss_of_channels():
    model = nn.Sequential(
        conv(3, 8), nn.ConvTranspose2d(8, 6, 2, 2), nn.ReLU(), nn.Conv2d(6, 5, 1), nn.Flatten(), nn.Linear(1280, 4)
    )
    coupling = find_coupling(model.eval(), IMAGES)
    probe(model, coupling, IMAGES)
    assert [group.name for group in coupling.groups] == ["0.0", "1", "3"]


def test_channels_that_are_moved_about_unseen_are_found():
    model = Rolled().eval()
    with pytest.raises(CouplingError, match="moves or mixes channels"):
        probe(model, find_coupling(model, IMAGES), IMAGES)
