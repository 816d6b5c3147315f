"""Law: a sliced network equals the dense network with the removed channels silenced, for every network that is accepted."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mendsearch.artifacts import load, save
from mendsearch.budget import build_cost_model
from mendsearch.coupling.copying import unwrapped
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import MendsearchError
from mendsearch.modes import plain_attention
from tests.laws.networks import (
    NO_NETWORKS,
    PRUNABLE,
    WITH_GROUPS,
    analysed,
    build,
    built_candidates,
    cast,
    inputs_of,
    tensors,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated", "ignore:.*is not required")
LOOSE = {torch.float16: 5e-2, torch.bfloat16: 2e-1}


def candidates(name):
    widths = [int(width) for width in analysed(name)[1].widths]
    counts = st.tuples(*(st.integers(1, width) for width in widths)).map(np.array)
    orders = st.tuples(*(st.permutations(range(width)).map(np.array) for width in widths)).map(list)
    return st.tuples(counts, orders)


def close(left, right):
    loose = LOOSE.get(right.dtype)
    torch.testing.assert_close(
        left, right, **({"rtol": loose, "atol": loose} if loose else {"rtol": 1e-3, "atol": 1e-4})
    )


def silenced(model, slicer, kept, inputs):
    """The dense network, hooks putting zeros where channels are gone: behind every layer, by its weight's layout.

    Independent of how the engine silences. None where zeros behind layers do not say it: norms and sums over channels, and
    weights that are used without a layer of their own.
    """
    axes = slicer.coupling.axes
    hooks = []
    for name, module in model.named_modules():
        names = ("bias", "running_mean", "weight_v", "parametrizations.weight.original1")
        dim = 1 if getattr(module, "transposed", False) else 0
        layout = dict(axes.get(f"{name}.weight" if name else "weight", ())).get(dim)
        found = [layout, *(dict(axes.get(f"{name}.{key}", ())).get(0) for key in names)]
        layout = next((one for one in found if one is not None), None)
        if layout is None or ".parametrizations" in name:
            continue
        gone = torch.ones(len(layout.group), dtype=torch.bool)
        gone[kept[layout]] = False
        at = -1 if isinstance(module, nn.Linear) else 1

        def silence(_module, _inputs, output, gone=gone, at=at):
            return output.index_fill(at, gone.nonzero().flatten(), 0.0)

        hooks.append(module.register_forward_hook(silence))
    try:
        return tensors(model(*inputs))
    finally:
        for hook in hooks:
            hook.remove()


OVER_CHANNELS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
WITHOUT_LAYERS = {"raw_conv", "einsum", "embedded", "mixer", "mha_head"}
"""Channels that no layer puts out, or that are not zero behind a layer that is silenced: a bias over positions."""


@pytest.mark.parametrize("name", WITH_GROUPS)
@settings(max_examples=5)
@given(data=st.data())
@torch.no_grad()
def test_slices_are_the_network_that_is_built_and_the_dense_one_silenced(name, data):
    model, coupling = analysed(name)
    counts, orders = data.draw(candidates(name))
    inputs = cast(model, inputs_of(name))
    slicer = Slicer(model, coupling, orders)
    kept = slicer.kept(counts)
    state = slicer.take(kept)
    with slicer.sized(state):
        sliced = tensors(slicer.forward(state, inputs))
    built = build_pruned(model, state, slicer.sizes(state))
    for left, right in zip(tensors(built(*inputs)), sliced, strict=True):
        close(left, right)
    if name not in WITHOUT_LAYERS and not any(isinstance(module, OVER_CHANNELS) for module in model.modules()):
        for left, right in zip(silenced(model, slicer, kept, inputs), sliced, strict=True):
            close(left, right)


@pytest.mark.parametrize("name", WITH_GROUPS)
@torch.no_grad()
def test_macs_are_those_of_the_network_that_is_built(name):
    """To the unit, against PyTorch's own counter: two FLOPs a MAC."""
    model, coupling = analysed(name)
    costs = build_cost_model(model, coupling)
    for counts, built in built_candidates(name):
        with plain_attention(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            built(*cast(model, inputs_of(name, items=1)))
        assert costs.cost(counts) == {
            "macs": counter.get_total_flops() // 2,
            "params": sum(parameter.numel() for parameter in built.parameters()),
        }


@pytest.mark.parametrize("name", WITH_GROUPS)
def test_the_built_network_is_saved_loaded_and_trained(name, tmp_path):
    model, coupling = analysed(name)
    slicer = Slicer(model, coupling, [np.arange(width) for width in coupling.widths])
    state = slicer.slice((coupling.widths + 1) // 2)
    built = build_pruned(model, state, slicer.sizes(state)).eval()
    inputs = cast(model, inputs_of(name, items=4))
    with torch.no_grad():
        expected = tensors(built(*inputs))
        save(built, tmp_path)
        for left, right in zip(tensors(load(tmp_path, model=unwrapped(build(name)))(*inputs)), expected, strict=True):
            torch.testing.assert_close(left, right)
    built.train()
    for parameter in built.parameters():
        parameter.requires_grad_(True)
    loss = sum(output.float().square().mean() for output in tensors(built(*inputs)) if output.is_floating_point())
    loss.backward()
    assert any(parameter.grad is not None for parameter in built.parameters())


@pytest.mark.parametrize("name", PRUNABLE)
def test_every_layer_has_a_group_or_a_reason(name):
    model, coupling = analysed(name)
    grouped = {layer for group in coupling.groups for layer in group.layers}
    for layer, module in model.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and "weight" in module._parameters:
            assert layer in grouped or coupling.whole.get(layer) or shares_its_weight(model, layer)
    assert all("\n" not in reason for reason in coupling.whole.values())


def shares_its_weight(model, layer):
    return f"{layer}.weight" not in dict(model.named_parameters())


@pytest.mark.parametrize("name", NO_NETWORKS)
def test_what_is_no_network_to_prune_is_refused_in_one_line(name):
    with pytest.raises(MendsearchError, match=NO_NETWORKS[name]) as caught:
        find_coupling(build(name), inputs_of(name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PRUNABLE)
def test_the_network_is_left_as_it_was(name):
    model = unwrapped(build(name)).train()
    state = copy.deepcopy({key: value for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)})
    modes = [module.training for module in model.modules()]
    find_coupling(model, inputs_of(name))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items() if key in state)
