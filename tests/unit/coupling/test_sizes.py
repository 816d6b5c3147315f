from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from mendsearch.artifacts import load, save
from mendsearch.coupling.sizes import Size, kept_sizes, marked, set_sizes
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from tests.laws.networks import analysed, build, inputs_of

GROUPS = {
    "kept_width": {"a.0": 8, "each.1.0": 8},
    "kept_half": {"a.0": 12, "b.0": 16},
    "kept_splits": {"a.0": 6, "a.0#2": 10, "a.0#3": 16, "each.0.0": 8, "each.1.0": 12},
    "kept_bound": {"a.0": 20, "b.0": 12},
    "kept_paths": {"a.0": 8, "convs.0.0": 8},
    "kept_shape": {"a.0": 16, "b.0": 16},
    "kept_heads": {"f.0": 16, "qkv": 6, "qkv#2": 8},
}


class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.width, self.splits, self.name, self.flag, self.scale = 6, [2, 4], "kept", True, 0.5
        self.part = nn.Conv2d(3, 6, 1)

    def forward(self, x):
        return torch.split(self.part(x), self.splits, 1)


@pytest.mark.parametrize("name", GROUPS)
def test_a_size_that_a_module_keeps_holds_no_channels_back(name):
    _, coupling = analysed(name)
    assert dict(zip(coupling.names, coupling.widths.tolist(), strict=True)) == GROUPS[name]
    assert set(coupling.whole) == {"tail.fc"}


@pytest.mark.parametrize("name", GROUPS)
@torch.no_grad()
def test_the_least_network_is_saved_and_loaded_with_its_sizes(name, tmp_path):
    model, coupling = analysed(name)
    slicer = Slicer(model, coupling, [np.arange(width) for width in coupling.widths])
    state = slicer.slice(np.ones_like(coupling.widths))
    built = build_pruned(model, state, slicer.sizes(state)).eval()
    save(built, tmp_path)
    inputs = inputs_of(name)
    torch.testing.assert_close(load(tmp_path, model=build(name))(*inputs), built(*inputs))


def test_sizes_are_those_of_the_networks_own_modules():
    assert kept_sizes(Kept()) == {"width": 6, "splits.0": 2, "splits.1": 4}
    assert kept_sizes(nn.Sequential(Kept()))["0.splits.1"] == 4


def test_attributes_are_put_back_but_for_what_the_scope_changed():
    model = Kept()
    splits = model.splits
    with pytest.raises(RuntimeError, match="stop"), set_sizes(model, {"width": 3, "splits.1": 1}):
        assert (model.width, model.splits) == (3, [2, 1])
        model.width = 5
        raise RuntimeError("stop")
    assert model.width == 5
    assert model.splits is splits
    with pytest.raises(KeyError, match="depth"), set_sizes(model, {"width": 3, "depth": 3}):
        pass
    assert model.width == 5


def test_a_size_knows_what_it_was_computed_from():
    width, depth = Size.of(6, {"width": Fraction(1)}), Size.of(4, {"depth": Fraction(1)})
    assert (2 * width // 4).terms == {"width": Fraction(1, 2)}
    assert (3 * depth // width).terms == {"depth": Fraction(1, 2)}  # 6 is the number of parts, say
    assert (2 * width - depth).terms == {"width": Fraction(2), "depth": Fraction(-1)}
    assert 2 * width - depth == 8
    for plain in (width // 4, width + 1, width * 0.5, width * depth):
        assert not isinstance(plain, Size)


def test_a_function_is_seen_with_the_sizes_that_it_was_given():
    model = Kept()
    with marked(model, lambda *_: None) as given:
        assert given.told(2) is None
        assert isinstance(model.splits[1], Size)
        assert [part.shape[1] for part in model(torch.randn(1, 3, 2, 2))] == [2, 4]
    assert type(model.splits[1]) is int
