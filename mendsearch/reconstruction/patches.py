"""What a layer reads and puts out at sampled positions, as the rows of a regression."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FORWARDS = frozenset(
    kind.forward
    for kind in (
        nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
    )
)  # fmt: skip


def can_be_fitted(module: nn.Module) -> bool:
    """A linear layer or a convolution, transposed or not, with a weight of its own.

    A subclass with a forward pass of its own may pad or change the weight in it, and is left as it is.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its weight is part of compiled code
        return False
    if _transposed(module) and groups_of(module) > 1 and module.bias is None:  # nothing tells which outputs stay
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
    dims, strides = len(module.kernel_size), module.stride
    if module.transposed:
        view, strides = _spaced(module, inputs), (1,) * dims
    elif any(padding):
        view = functional.pad(inputs, padding, mode="constant" if mode == "zeros" else mode)
    sizes = zip(module.kernel_size, strides, module.dilation, strict=True)
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


def matrix_of(module: nn.Module) -> Tensor:
    """(conv groups, outputs, features), what `patches_at` is multiplied with; a transposed kernel is turned over."""
    weight = weight_of(module)
    if not _transposed(module):
        return weight.reshape(groups_of(module), -1, features_of(module))
    turned = weight.unflatten(0, (groups_of(module), -1)).flip(tuple(range(3, weight.dim() + 1)))
    matrix: Tensor = turned.transpose(1, 2).flatten(2)
    return matrix


@torch.no_grad()
def add_to_weight(module: nn.Module, change: Tensor) -> None:
    """Add a change of `matrix_of`, (conv groups, outputs, features), to the weight of a layer in place."""
    weight = weight_of(module)
    if _transposed(module):
        parts = change.unflatten(2, (-1, *weight.shape[2:])).transpose(1, 2)
        change = parts.flip(tuple(range(3, parts.dim())))
    weight.add_(change.reshape(weight.shape).to(weight.dtype))


def groups_of(module: nn.Module) -> int:
    """Conv groups of a convolution, 1 of a linear layer."""
    return int(getattr(module, "groups", 1))


def outputs_of(module: nn.Module) -> int:
    """Output channels or features of a layer."""
    weight = weight_of(module)
    return weight.shape[1] * groups_of(module) if _transposed(module) else weight.shape[0]


def features_of(module: nn.Module) -> int:
    """Inputs that one output of the layer is a sum over, at all places of a transposed kernel."""
    weight = weight_of(module)
    return weight.numel() // outputs_of(module)


def expected_sizes(module: nn.Module, inputs: Tensor) -> tuple[int, ...] | None:
    """Sizes of the outputs of a transposed convolution that is not told others; None of other layers."""
    return _over(module, inputs)[0] if isinstance(module, nn.modules.conv._ConvTransposeNd) else None


def _transposed(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvTransposeNd)


def _over(module: Any, inputs: Tensor) -> tuple[tuple[int, ...], list[int]]:
    """Output sizes of a transposed convolution, and the padding around its inputs with zeros between, last first."""
    sizes, around = [], list[int]()
    for size, kernel, stride, dilation, padding, more in zip(
        inputs.shape[2:],
        module.kernel_size,
        module.stride,
        module.dilation,
        module.padding,
        module.output_padding,
        strict=True,
    ):
        edge = dilation * (kernel - 1) - padding
        sizes.append((size - 1) * stride + 1 + 2 * edge + more - dilation * (kernel - 1))
        around = [edge, edge + more, *around]
    return tuple(sizes), around


def _spaced(module: Any, inputs: Tensor) -> Tensor:
    """Inputs with zeros between, over which the turned kernel of a transposed convolution slides step by step."""
    sizes = [(size - 1) * stride + 1 for size, stride in zip(inputs.shape[2:], module.stride, strict=True)]
    spaced = inputs.new_zeros((*inputs.shape[:2], *sizes))
    every: Any = (..., *(slice(None, None, stride) for stride in module.stride))
    spaced[every] = inputs
    return functional.pad(spaced, _over(module, inputs)[1])
