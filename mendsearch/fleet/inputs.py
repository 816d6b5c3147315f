"""Inputs of a network in files: the tensors by name, and how they are nested as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mendsearch.batches import Batch
from mendsearch.errors import UsageError


def flattened(name: str, batch: Batch) -> tuple[dict[str, Tensor], str]:
    """The tensors of a batch, as `NAME/0`, `NAME/1`, …, and its form as JSON.

    Raises:
        UsageError: an argument is of a type that JSON cannot say, such as a named tuple.
    """
    tensors: dict[str, Tensor] = {}
    form = _described((batch.args, batch.kwargs), name, tensors)
    return tensors, json.dumps(form)


def restored(tensors: Mapping[str, Tensor], form: str) -> Batch:
    """The batch of which `flattened` gave the tensors and the form.

    Raises:
        UsageError: the form is damaged.
    """
    try:
        args, kwargs = _revived(json.loads(form), tensors)
        return Batch(*args, **kwargs)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the form of inputs is damaged: {error}; create the search anew") from error


def _described(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        key = f"{name}/{len(tensors)}"
        tensors[key] = value
        return {"tensor": key}
    if type(value) in (tuple, list):
        return {type(value).__name__: [_described(part, name, tensors) for part in value]}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"dict": {key: _described(part, name, tensors) for key, part in value.items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return {"constant": value}
    raise UsageError(
        f"{name} inputs hold a {type(value).__name__}, which other workers cannot be given; expected tensors, numbers "
        f"and strings in tuples, lists and dicts"
    )


def _revived(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(form, dict) or len(form) != 1:
        raise ValueError(f"got {form!r}")
    ((kind, value),) = form.items()
    if kind == "tensor":
        return tensors[value]
    if kind in ("tuple", "list"):
        parts = [_revived(part, tensors) for part in value]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "dict":
        return {key: _revived(part, tensors) for key, part in value.items()}
    if kind == "constant":
        return value
    raise ValueError(f"got {kind!r}")
