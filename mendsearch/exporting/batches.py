"""Batches of any size, made of the items of an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from mendsearch.batches import Batch
from mendsearch.coupling.copying import dtype_of
from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import DataError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional arguments of a call, and those by keyword."""


def arguments(example: Any, model: nn.Module) -> Arguments:
    """An example as the arguments of a call, in the dtype of a network on the CPU.

    Args:
        example: a tensor, a tuple or dict of them, which may be nested, or a `Batch`. Each has a first axis of items.
        model: the network.

    Raises:
        DataError: there is no tensor, or not every one has the same number of items.
    """
    if isinstance(example, Batch):
        args, kwargs = (tree_map_only(Tensor, _placed(model), part) for part in (example.args, example.kwargs))
        return args, kwargs
    tensors = list(tensors_in(example))
    sizes = {len(tensor) if tensor.dim() else 0 for tensor in tensors}
    if len(sizes) != 1 or 0 in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "no tensor"
        raise DataError(f"example: got {shapes}, expected tensors with the same number of items; try example[:2]")
    placed = tree_map_only(Tensor, _placed(model), example)
    if isinstance(placed, Mapping):
        return (), dict(placed)
    return (placed,) if isinstance(placed, Tensor) else tuple(placed), {}


def _placed(model: nn.Module) -> Callable[[Tensor], Tensor]:
    dtype = dtype_of(model)
    return lambda tensor: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype)


def batch_of(call: Arguments, items: int) -> Arguments:
    """The same arguments with another number of items, which are repeated as often as needed."""
    count = len(next(tensors_in(call)))
    indices = torch.arange(items) % count
    repeated: Arguments = tree_map_only(Tensor, lambda tensor: tensor[indices].contiguous(), call)
    return repeated
