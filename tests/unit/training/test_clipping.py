"""Gradients that are too long for their weights are shortened, where no batch norm keeps them in bounds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

from mendsearch.config import FinetuneSpec
from mendsearch.outputs import comparison_of
from mendsearch.training.clipping import LEAST, MOST, clip, is_clipped
from mendsearch.training.loop import train

SHAPES = [(5,), (3, 4), (6, 2, 3, 3), ()]


@given(st.sampled_from(SHAPES), st.floats(0, 5), st.floats(0, 50))
def test_no_unit_has_a_longer_gradient_and_its_direction_stays(shape, scale, slope):
    weight = nn.Parameter(scale * torch.randn(shape))
    before = slope * torch.randn(shape)
    weight.grad = before.clone()
    clip([weight])
    units = shape[0] if len(shape) > 1 else 1
    old, new, own = (part.reshape(units, -1) for part in (before, weight.grad, weight.detach()))
    longest = MOST * own.norm(dim=1).clamp(min=LEAST)
    assert (new.norm(dim=1) <= longest * 1.001).all()
    short = old.norm(dim=1) <= longest
    assert torch.equal(new[short], old[short])
    torch.testing.assert_close((old * new).sum(1), old.norm(dim=1) * new.norm(dim=1))


@pytest.mark.parametrize(
    ("layers", "clipped"),
    [
        ([nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)], False),
        ([nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)], False),
        ([nn.Conv2d(1, 4, 3), nn.ReLU()], True),
        ([nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LayerNorm(16)], True),
        ([nn.Linear(4, 4), nn.RMSNorm(4)], True),
    ],
)
def test_networks_with_layer_norms_or_without_norms_are_clipped(layers, clipped):
    assert is_clipped(nn.Sequential(*layers)) == clipped


def test_a_loss_as_steep_as_a_wall_moves_no_weight_far():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.randn(32, 6)
    train(
        model,
        TensorDataset(inputs, torch.zeros(32)),
        FinetuneSpec(epochs=1, batch_size=4, weight_decay=0.0),
        seed=0,
        comparison=comparison_of(model, inputs),
        loss=lambda outputs, targets: 1e6 * outputs.square().mean(),
    )
    for name in ("0.weight", "2.weight"):
        moved = (model.state_dict()[name] - before[name]).norm() / before[name].norm()
        assert 0 < moved < 0.2
