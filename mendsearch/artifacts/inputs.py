"""What a network reads: told from an example of it, and an example made from what was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mendsearch.artifacts.structure import Input
from mendsearch.batches import Batch, BatchLike

Example = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""A tensor, positional tensors, or tensors by keyword, each with a first axis of items."""


def inputs_of(example: BatchLike) -> list[Input]:
    """What a network reads, from an example of it; empty where that is more than tensors of one shape for all items."""
    example = Batch.of(example)
    named = [*((None, value) for value in example.args), *example.kwargs.items()]
    tensors = [(name, value) for name, value in named if isinstance(value, Tensor) and value.dim()]
    if len(tensors) < len(named) or (example.args and example.kwargs):
        return []
    return [_input(name, tensor) for name, tensor in tensors]


def _input(name: str | None, tensor: Tensor) -> Input:
    counted = not tensor.is_floating_point() and not tensor.is_complex() and tensor.numel()
    return Input(
        name=name,
        shape=list(tensor.shape[1:]),
        dtype=str(tensor.dtype).removeprefix("torch."),
        high=max(0, int(tensor.max())) if counted else None,
    )


def example_of(inputs: Sequence[Input], items: int = 2) -> Example:
    """Random items of what a network reads.

    Args:
        inputs: all positional, or all by keyword.
        items: number of items.
    """
    generator = torch.Generator().manual_seed(0)
    tensors = [_random(one, items, generator) for one in inputs]
    if any(one.name is not None for one in inputs):
        return {str(one.name): tensor for one, tensor in zip(inputs, tensors, strict=True)}
    return tuple(tensors)


def _random(one: Input, items: int, generator: torch.Generator) -> Tensor:
    dtype: torch.dtype = getattr(torch, one.dtype)
    if one.high is None:
        return torch.randn(items, *one.shape, generator=generator).to(dtype)
    return torch.randint(0, one.high + 1, (items, *one.shape), generator=generator).to(dtype)
