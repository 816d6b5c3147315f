import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mendsearch.coupling import graph
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.grouping import EXCLUDED, OUTPUT, SINGLE
from mendsearch.errors import CouplingError, DataError
from tests.zoo import IMAGES, build, conv


def test_residual_sums_couple_the_layers_that_meet_in_them():
    coupling = find_coupling(build("residual"), IMAGES)
    first = coupling.groups[0]
    assert first.name == "conv1"
    assert first.layers == ("conv1", "layer1.0.conv2")
    assert [group.width for group in coupling.groups] == [4, 4, 8, 8, 16, 16]


def test_the_head_stays_whole_and_says_why():
    assert find_coupling(build("residual"), IMAGES).whole == {"fc": OUTPUT}


def test_depthwise_convolutions_belong_to_the_group_that_feeds_them():
    coupling = find_coupling(build("depthwise"), IMAGES)
    assert [group.layers for group in coupling.groups] == [("stem.0", "project.0"), ("expand.0", "depthwise.0")]


def test_concatenation_gives_one_input_axis_to_several_groups():
    coupling = find_coupling(build("concatenated"), IMAGES)
    ((dim, layout),) = coupling.axes["fc.weight"]
    assert dim == 1
    assert np.bincount(layout.group).tolist() == [6, 4, 5]
    assert layout.sole_group is None


def test_flattening_gives_a_channel_all_its_positions():
    coupling = find_coupling(build("flattened"), IMAGES)
    layout = dict(coupling.axes["fc1.weight"])[1]
    assert layout.unit.tolist() == np.repeat(np.arange(8), 16).tolist()
    assert layout.multiplicity(3).tolist() == [0, 16, 0]


def test_every_conv_group_loses_the_same_places():
    coupling = find_coupling(build("grouped"), IMAGES)
    assert [(group.name, group.width) for group in coupling.groups] == [("stem.0", 4), ("middle.0", 4), ("last.0", 6)]
    outputs = dict(coupling.axes["stem.0.weight"])[0]
    assert outputs.unit.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_parts_of_a_split_that_meet_again_go_in_pairs():
    coupling = find_coupling(build("split"), IMAGES)
    layout = dict(coupling.axes["stem.0.weight"])[0]
    assert coupling.groups[0].width == 4
    assert layout.unit.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_excluded_layers_stay_whole_with_all_that_hangs_on_them():
    coupling = find_coupling(build("residual"), IMAGES, exclude=("layer1.0.conv2", "layer3.*"))
    assert coupling.whole["conv1"] == f"{EXCLUDED} (`layer1.0.conv2`)"
    assert coupling.whole["layer3.0.conv1"].startswith(EXCLUDED)
    assert [group.name for group in coupling.groups] == ["layer1.0.conv1", "layer2.0.conv1", "layer2.0.conv2"]


def test_an_exclude_that_matches_nothing_is_refused():
    with pytest.raises(CouplingError, match="'layer9' matches no layer"):
        find_coupling(build("residual"), IMAGES, exclude=("layer9",))


def test_a_network_with_nothing_prunable_has_a_reason_for_every_layer():
    coupling = find_coupling(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), IMAGES)
    assert not coupling.groups
    assert coupling.whole == {"1": OUTPUT}


class Mirrored(nn.Module):
    """Two channels, each added to the other."""

    def __init__(self):
        super().__init__()
        self.stem, self.last, self.fc = conv(3, 2), conv(2, 6), nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x)
        return self.fc(self.last(x + x.flip(1)).mean((2, 3)))


def test_channels_that_all_hang_together_stay_whole():
    assert find_coupling(Mirrored().eval(), IMAGES).whole["stem.0"] == SINGLE


def test_a_depthwise_convolution_with_a_multiplier_ties_channel_by_channel():
    model = nn.Sequential(
        conv(3, 4), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.Flatten(), nn.Linear(216, 4)
    )
    coupling = find_coupling(model.eval(), IMAGES)
    assert coupling.groups[0].layers == ("0.0", "1")
    assert dict(coupling.axes["1.weight"])[0].unit.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_images_that_the_network_refuses_are_named_by_their_shape():
    with pytest.raises(DataError, match=r"refuses inputs \(1, 8, 8\) float32"):
        find_coupling(build("residual"), torch.zeros(2, 1, 8, 8))


def test_the_network_is_not_changed():
    model = build("residual").train()
    model.conv1.weight.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    find_coupling(model, IMAGES)
    assert model.training
    assert not model.conv1.weight.requires_grad
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_where_checking_takes_too_long_what_may_hold_a_fault_stays_whole(monkeypatch: pytest.MonkeyPatch):
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.fc = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.b(self.a(x)).reshape(len(x), 6, -1).mean(2))

    assert find_coupling(Written().eval(), IMAGES).names == ("a.0",)
    monkeypatch.setattr(graph, "PROBING_S", 0.0)
    coupling = find_coupling(Written().eval(), IMAGES)
    assert not coupling.groups
    assert "took more than 0 s of the processor" in coupling.whole["a.0"]
