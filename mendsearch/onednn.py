"""A fault of oneDNN's that the training of a pruned network on a CPU runs into, and the way around it.

The gradient of the weights of a strided 1x1 convolution writes past its workspace where the layout in memory is
channels-last and a vector register holds more channels than there are: 8 floats with AVX2, 16 with AVX-512. The process
dies, or other memory is overwritten.

Reference: https://github.com/uxlfoundation/oneDNN/issues/6035, in PyTorch up to 2.14 at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

VECTOR = 16
"""Input channels from which on no processor is known to fail."""


@contextmanager
def safe_gradients(model: nn.Module) -> Iterator[None]:
    """Within the scope, convolutions of `model` that could run into the fault get contiguous inputs and weights."""
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and _fails(module):
            module.weight.data = _contiguous(module.weight.data)
            hooks.append(module.register_forward_pre_hook(_give_contiguous))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _fails(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> bool:
    strided = max(module.stride) > 1 and max(module.kernel_size) == 1
    return strided and module.in_channels < VECTOR * module.groups and module.weight.device.type == "cpu"


def _give_contiguous(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_contiguous(each) if isinstance(each, Tensor) else each for each in inputs)


def _contiguous(tensor: Tensor) -> Tensor:
    """A copy in the plain order of dimensions; `contiguous()` leaves strides of dimensions of size 1 as they are."""
    return tensor.clone(memory_format=torch.contiguous_format)
