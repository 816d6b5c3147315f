"""The candidate as a plain dense network, with nothing of mendsearch left in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

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
    if isinstance(module, nn.LayerNorm):
        return {"normalized_shape": tuple(weight)}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": weight[0]}
    return {}


def build_pruned(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network like `model` that has the tensors of `state`, whatever their sizes.

    Args:
        model: the dense network; not changed.
        state: a whole state dict; its tensors are copied.

    Raises:
        ModelError: `state` lacks a tensor of the network, or has one more.
    """
    pruned = copy.deepcopy(model)
    wanted = set(pruned.state_dict())
    if wanted != set(state):
        odd = sorted(wanted ^ set(state))[0]
        raise ModelError(
            f"pruned weights do not fit the network: `{odd}` is in only one of the two; check the model's name"
        )
    for name, module in pruned.named_modules():
        prefix = f"{name}." if name else ""
        own = [key for key, _ in module.named_parameters(recurse=False)]
        own += [key for key, _ in module.named_buffers(recurse=False) if prefix + key in wanted]
        shapes = {key: tuple(state[prefix + key].shape) for key in own}
        for attribute, value in sized_attributes(module, shapes).items():
            setattr(module, attribute, value)
        for key in own:
            _put(module, key, state[prefix + key])
    return pruned


def _put(module: nn.Module, key: str, tensor: Tensor) -> None:
    old = getattr(module, key)
    new = tensor.detach().to(old.device).clone(memory_format=torch.contiguous_format)
    if isinstance(old, nn.Parameter):
        setattr(module, key, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        module.register_buffer(key, new)
