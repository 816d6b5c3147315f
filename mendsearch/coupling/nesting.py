"""The tensors in whatever a network takes or gives: nested lists, dicts, named tuples, dataclasses, other objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn


def tensors_in(value: object, depth: int = 8) -> Iterator[Tensor]:
    """Tensors in their order; objects are looked into up to `depth` levels."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, str | bytes | nn.Module | type) or value is None or depth == 0:
        return
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part, depth - 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from tensors_in(part, depth - 1)
    elif hasattr(value, "__dict__"):
        yield from tensors_in(vars(value), depth - 1)
