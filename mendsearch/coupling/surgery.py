"""The candidate as a plain dense network, with nothing of mendsearch left in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.coupling.copying import copy_network, named_tensors
from mendsearch.coupling.sizes import put_sizes
from mendsearch.errors import ModelError


def sized_attributes(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The attributes of a layer that hold sizes, for tensors of new shapes.

    Args:
        module: the dense layer.
        shapes: of its own parameters and buffers after slicing, by name within the layer.
    """
    weight = shapes.get("weight") or shapes.get("running_mean")
    if weight is None:
        return {}
    if isinstance(module, nn.modules.conv._ConvNd):
        if 1 < module.groups == module.in_channels and not module.transposed:  # a conv group a channel
            groups = weight[0] * module.groups // module.out_channels
            return {"in_channels": groups, "out_channels": weight[0], "groups": groups}
        outer, inner = (weight[1], weight[0]) if module.transposed else (weight[0], weight[1])
        if module.transposed:
            return {"in_channels": inner, "out_channels": outer * module.groups}
        return {"in_channels": inner * module.groups, "out_channels": outer}
    if isinstance(module, nn.Linear):
        return {"in_features": weight[1], "out_features": weight[0]}
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return {"num_features": weight[0]}
    if isinstance(module, nn.GroupNorm):
        return {"num_channels": weight[0]}
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return {"normalized_shape": tuple(weight)}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": weight[0]}
    return {}


def build_pruned(model: nn.Module, state: Mapping[str, Tensor], sizes: Mapping[str, int] | None = None) -> nn.Module:
    """A network like `model` that has the tensors of `state`, whatever their sizes.

    Args:
        model: the dense network; not changed.
        state: its parameters and buffers by name, under one of their names or all; they are copied.
        sizes: by path, sizes that no tensor tells (see `unwritten_sizes`); those that `model` does not have are left.

    Raises:
        ModelError: `state` lacks a tensor of the network, or has one more.
    """
    pruned = copy_network(model)
    own = named_tensors(pruned)
    odd = sorted((own.keys() - state.keys()) | (state.keys() - pruned.state_dict().keys()))
    if odd:
        raise ModelError(
            f"pruned weights do not fit the network: `{odd[0]}` is in only one of the two; check the model's name"
        )
    fresh = {id(old): _like(old, state[name]) for name, old in own.items()}
    for module in pruned.modules():
        for key, old in [*module._parameters.items(), *module._buffers.items()]:
            if old is not None and id(old) in fresh:  # one that several modules share stays shared
                setattr(module, key, fresh[id(old)])
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for attribute, value in sized_attributes(module, {key: tuple(tensor.shape) for key, tensor in tensors}).items():
            setattr(module, attribute, value)
    put_sizes(pruned, sizes or {})
    return pruned


def _like(old: Tensor, value: Tensor) -> Tensor:
    new = value.detach().to(old.device).clone(memory_format=torch.contiguous_format)
    return nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
