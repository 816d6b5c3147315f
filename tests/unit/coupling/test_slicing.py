"""The law on which everything stands: a sliced network equals the physically pruned one."""

import copy

import numpy as np
import pytest
import torch
import torch_pruning as tp
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from tests.zoo import IMAGES, NETWORKS, build

MODELS = {name: build(name) for name in NETWORKS}
COUPLINGS = {name: find_coupling(model, IMAGES) for name, model in MODELS.items()}


def candidates(name):
    """Keep counts and rank orders of a network."""
    widths = [int(width) for width in COUPLINGS[name].widths]
    counts = st.tuples(*(st.integers(1, width) for width in widths)).map(np.array)
    orders = st.tuples(*(st.permutations(range(width)).map(np.array) for width in widths)).map(list)
    return st.tuples(counts, orders)


@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data())
@torch.no_grad()
def test_sliced_network_equals_the_plain_network_built_from_it(name, data):
    counts, orders = data.draw(candidates(name))
    model, slicer = MODELS[name], Slicer(MODELS[name], COUPLINGS[name], orders)
    state = slicer.slice(counts)
    with slicer.sized(state):
        sliced = slicer.forward(state, IMAGES)
    built = build_pruned(model, state)
    torch.testing.assert_close(built(IMAGES), sliced)
    assert sum(p.numel() for p in built.parameters()) <= sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("grouped", "normed")])
@given(data=st.data())
@torch.no_grad()
def test_sliced_network_equals_physically_pruned(name, data):
    """Torch-Pruning removes the channels from a copy, group by group; it is no part of how we slice."""
    counts, orders = data.draw(candidates(name))
    model, coupling = copy.deepcopy(MODELS[name]), COUPLINGS[name]
    removals = []
    for index, group in enumerate(coupling.groups):
        gone = set(orders[index][counts[index] :].tolist())
        layer = group.layers[0]
        layout = dict(coupling.axes[f"{layer}.weight"])[0]
        removals.append((layer, [i for i, unit in enumerate(layout.unit) if layout.group[i] == index and unit in gone]))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(model, IMAGES[:1], verbose=False)
    for layer, idxs in removals:
        if idxs:
            module = model.get_submodule(layer)
            graph.get_pruning_group(module, graph.get_pruner_of_module(module).prune_out_channels, idxs).prune()
    slicer = Slicer(MODELS[name], coupling, orders)
    state = slicer.slice(counts)
    with slicer.sized(state):
        sliced = slicer.forward(state, IMAGES)
    torch.testing.assert_close(sliced, model(IMAGES))
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        key: tuple(value.shape) for key, value in model.state_dict().items()
    }


@torch.no_grad()
def test_all_channels_kept_is_the_dense_network():
    for name, model in MODELS.items():
        slicer = Slicer(model, COUPLINGS[name], [np.arange(width) for width in COUPLINGS[name].widths])
        state = slicer.slice(COUPLINGS[name].widths)
        with slicer.sized(state):
            torch.testing.assert_close(slicer.forward(state, IMAGES), model(IMAGES))


def test_sizes_in_attributes_are_restored_after_an_exception():
    model = MODELS["depthwise"]
    slicer = Slicer(model, COUPLINGS["depthwise"], [np.arange(width) for width in COUPLINGS["depthwise"].widths])
    state = slicer.slice(np.array([3, 5]))
    depthwise = model.depthwise[0]
    with pytest.raises(RuntimeError, match="on purpose"), slicer.sized(state):
        assert depthwise.groups == 5
        raise RuntimeError("on purpose")
    assert depthwise.groups == 12


def test_the_built_network_says_its_own_sizes():
    coupling = COUPLINGS["depthwise"]
    slicer = Slicer(MODELS["depthwise"], coupling, [np.arange(width) for width in coupling.widths])
    built = build_pruned(MODELS["depthwise"], slicer.slice(np.array([3, 5])))
    depthwise, norm, head = built.depthwise[0], built.depthwise[1], built.fc
    assert (depthwise.in_channels, depthwise.out_channels, depthwise.groups) == (5, 5, 5)
    assert norm.num_features == 5
    assert (head.in_features, head.out_features) == (3, 4)
    assert isinstance(built.stem[0], nn.Conv2d)
    assert built.stem[0].weight.requires_grad
