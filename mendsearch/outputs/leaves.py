"""Output leaves: the tensors in what a network gives, each under a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

SINGLE = "output"
"""Name of the leaf of a network that gives one tensor."""
Detections = list[Mapping[str, Tensor]]
"""For every item the `boxes` (n, 4), `scores` (n,) and perhaps `labels` (n,) that were found in it; n differs."""
Leaf = Tensor | Detections


def leaves_of(outputs: object) -> dict[str, Leaf]:
    """The leaves by name, in their order.

    A name is the path to the tensor: `boxes.1` is the second of the tensors under the key `boxes`. Lists, tuples, named
    tuples, dicts and dataclasses are followed; anything else that is no tensor (None, a number) is left out. The list
    of detections that torchvision's detectors give is one leaf.

    PyTorch's own pytree takes a dataclass for a leaf unless its class was registered, and is private.

    Args:
        outputs: what a network gave.
    """
    found: dict[str, Leaf] = {}
    _collect(outputs, "", found)
    return found


def _collect(value: Any, name: str, found: dict[str, Leaf]) -> None:
    if isinstance(value, Tensor):
        found[name or SINGLE] = value
    elif _are_detections(value):
        found[name or SINGLE] = list(value)
    else:
        for key, part in _parts(value):
            _collect(part, f"{name}.{key}" if name else str(key), found)


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=True)
    if isinstance(value, list | tuple):
        return enumerate(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return ()


def _are_detections(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(item, Mapping) and {"boxes", "scores"} <= item.keys() for item in value)
    )
