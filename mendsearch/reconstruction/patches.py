"""What a layer reads and puts out at sampled positions, as the rows of a regression."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FORWARDS = frozenset(kind.forward for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))


def can_be_fitted(module: nn.Module) -> bool:
    """A linear layer or a convolution that is not transposed, with a weight of its own.

    A subclass with a forward pass of its own may pad or change the weight in it, and is left as it is.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its weight is part of compiled code
        return False
    return type(module).forward in FORWARDS and "weight" in module._parameters


def fittable(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network that can be fitted, by name."""
    return {name: module for name, module in model.named_modules() if can_be_fitted(module)}


def sample_places(module: nn.Module, outputs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(N, P) int64, for every row P different output positions, all where there are not more than `count`.

    Args:
        module: convolution or linear layer.
        outputs: (N, C, ...) of a convolution, (N, ..., C) of a linear layer.
        count: positions wanted of each row.
        generator: on the CPU; the same draws on every device.
    """
    spatial = outputs.shape[1:-1] if isinstance(module, nn.Linear) else outputs.shape[2:]
    total = math.prod(spatial)
    if total <= count:
        return torch.arange(total).repeat(len(outputs), 1).to(outputs.device)
    return torch.rand(len(outputs), total, generator=generator).topk(count, 1).indices.to(outputs.device)


def outputs_at(module: nn.Module, outputs: Tensor, places: Tensor) -> Tensor:
    """(N P, C) of outputs (N, C, ...) of a convolution or (N, ..., C) of a linear layer."""
    if isinstance(module, nn.Linear):
        rows = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    else:
        rows = outputs.flatten(2).transpose(1, 2)
    return torch.take_along_dim(rows, places[:, :, None], 1).flatten(0, 1)


def patches_at(module: nn.Module, inputs: Tensor, places: Tensor) -> Tensor:
    """(N P, conv groups, features) of what the layer multiplies with its weight, flattened, to put out those positions.

    Padding is part of what a convolution reads.
    """
    if not isinstance(module, nn.modules.conv._ConvNd):
        return outputs_at(module, inputs, places)[:, None]
    mode, padding, view = module.padding_mode, module._reversed_padding_repeated_twice, inputs
    if any(padding):
        view = functional.pad(inputs, padding, mode="constant" if mode == "zeros" else mode)
    dims = len(module.kernel_size)
    sizes = zip(module.kernel_size, module.stride, module.dilation, strict=True)
    for dim, (kernel, stride, dilation) in enumerate(sizes):
        view = view.unfold(2 + dim, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    where = torch.unravel_index(places.flatten(), view.shape[2 : 2 + dims])
    rows = torch.arange(len(inputs), device=inputs.device).repeat_interleave(places.shape[1])
    index: Any = (rows, slice(None), *where)
    return view[index].reshape(len(rows), module.groups, -1)


def weight_of(module: nn.Module) -> Tensor:
    """Its weight, be it a parameter or, within `torch.func.functional_call`, a plain tensor."""
    weight = module._parameters["weight"]
    assert weight is not None
    return weight


def features_of(module: nn.Module) -> int:
    """Inputs that one output of the layer is a sum over."""
    return weight_of(module)[0].numel()
