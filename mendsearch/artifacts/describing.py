"""The structure of a network, read from its modules and tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from mendsearch.artifacts.structure import FORMAT, Indices, Input, Layer, PrunedStructure, TensorSlice
from mendsearch.coupling.copying import named_tensors
from mendsearch.coupling.layout import Coupling, Ints, Layout
from mendsearch.coupling.sizes import unwritten_sizes

SIZES = {
    "in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels", "normalized_shape",
    "num_parameters", "embedding_dim", "embed_dim",
}  # fmt: skip
"""Attributes that follow the channels."""
WITHOUT_EFFECT = {"inplace", "momentum", "p"}
"""Attributes that do not change what a network computes in evaluation mode."""
USUAL = {"kernel_size", "stride", "padding", "dilation", "groups", "eps", "num_heads", "window_size", "shift_size"}
"""Attributes of modules that do not declare theirs in `__constants__`, as the modules of PyTorch do."""


def describe(model: nn.Module, inputs: Sequence[Input] = ()) -> PrunedStructure:
    """The structure of a network of which nothing else is known.

    Args:
        model: any network.
        inputs: what it reads.
    """
    return PrunedStructure(
        format=FORMAT,
        network=f"{type(model).__module__}.{type(model).__qualname__}",
        widths={},
        keep_counts={},
        kept={},
        layers=layers_of(model),
        tensors={
            name: TensorSlice(shape=list(tensor.shape), dense_shape=None, kept={})
            for name, tensor in named_tensors(model).items()
        },
        sizes=unwritten_sizes(model),
        inputs=list(inputs),
    )


def describe_pruned(
    dense: nn.Module, pruned: nn.Module, coupling: Coupling, kept: Mapping[str, Ints], inputs: Sequence[Input] = ()
) -> PrunedStructure:
    """The structure of a pruned network, with its slices of the dense one.

    Args:
        dense: the dense network.
        pruned: made from it.
        coupling: coupling groups of the dense network.
        kept: by coupling group, the channels that stay, ascending.
        inputs: what the network reads.
    """
    bare = describe(pruned, inputs)
    dense_layers = {layer.name: layer for layer in layers_of(dense)}
    layers = [
        layer.model_copy(
            update={
                "settings": dense_layers[layer.name].settings,
                "dense_inputs": dense_layers[layer.name].inputs,
                "dense_outputs": dense_layers[layer.name].outputs,
            }
        )
        for layer in bare.layers
    ]
    slices = {
        name: TensorSlice(
            shape=bare.tensors[name].shape,
            dense_shape=list(tensor.shape),
            kept={dim: _indices(layout, coupling, kept) for dim, layout in coupling.axes.get(name, ())},
        )
        for name, tensor in named_tensors(dense).items()
    }
    fields = {key: getattr(bare, key) for key in ("format", "network", "sizes", "inputs")}
    return PrunedStructure(
        **fields,
        widths=coupling.keep_counts(coupling.widths),
        keep_counts={name: len(kept[name]) for name in coupling.names},
        kept={name: [int(index) for index in kept[name]] for name in coupling.names},
        layers=layers,
        tensors=slices,
    )


def kept_channels(coupling: Coupling, orders: Sequence[Ints], counts: Ints) -> dict[str, Ints]:
    """By coupling group, the channels of a candidate, ascending.

    Args:
        coupling: coupling groups of the dense network.
        orders: for each of them its channels, best first.
        counts: (G,) int64, keep counts.
    """
    return {name: np.sort(order[:count]) for name, order, count in zip(coupling.names, orders, counts, strict=True)}


def _indices(layout: Layout, coupling: Coupling, kept: Mapping[str, Ints]) -> str | Indices:
    """Indices of a layout that stay, by the name of the coupling group where they are its channels one by one."""
    group = layout.sole_group
    if group is not None and np.array_equal(layout.unit, np.arange(coupling.groups[group].width)):
        return coupling.names[group]
    stays = layout.group < 0
    for number, name in enumerate(coupling.names):
        stays |= (layout.group == number) & np.isin(layout.unit, kept[name])
    return [int(index) for index in np.flatnonzero(stays)]


def layers_of(model: nn.Module) -> list[Layer]:
    """The modules of a network that compute, hold tensors, or have settings."""
    found = []
    for name, module in model.named_modules():
        leaf, settings = next(module.children(), None) is None, settings_of(module)
        if name and (leaf or settings or module._parameters or module._buffers):
            inputs, outputs = _widths(module)
            found.append(
                Layer(
                    name=name,
                    kind=type(module).__name__ if leaf else None,
                    settings=settings,
                    inputs=inputs,
                    outputs=outputs,
                    dense_inputs=None,
                    dense_outputs=None,
                )
            )
    return found


def settings_of(module: nn.Module) -> dict[str, Any]:
    """JSON values of the attributes that a module of another network may have otherwise, though its tensors fit.

    The groups of a depthwise convolution follow its channels: they are given as `"in_channels"`.
    """
    names = ({*getattr(module, "__constants__", ())} | USUAL) - SIZES - WITHOUT_EFFECT
    found = {}
    for name in sorted(names):
        value = _plain(vars(module).get(name))
        if value is not None:
            found[name] = value
    if 1 < found.get("groups", 1) == getattr(module, "in_channels", None):
        found["groups"] = "in_channels"
    return found


def _plain(value: object) -> Any:
    """A number, a string, or a list of them; None for anything else."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, tuple | list):
        parts = [_plain(part) for part in value]
        return None if any(part is None for part in parts) else parts
    return None


def _widths(module: nn.Module) -> tuple[int | None, int | None]:
    if isinstance(module, nn.modules.conv._ConvNd):
        return module.in_channels, module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return None, None
