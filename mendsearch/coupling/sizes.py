"""Sizes that modules keep as attributes: which of them a forward pass reads, and setting others.

A path names such a size: `stage.width` is an attribute of the module `stage`, `stage.splits.1` its second number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mendsearch.coupling.nesting import tensors_in


class Size(int):
    """An int that knows from which attributes it was computed; what is no multiple or sum of them is a plain int.

    Attributes:
        terms: by path, the factor: the size is the sum of the attributes, each times its factor.
    """

    terms: Mapping[str, Fraction]

    @classmethod
    def of(cls, value: int, terms: Mapping[str, Fraction]) -> Size:
        """A size of these attributes."""
        made = cls(value)
        made.terms = terms
        return made

    def __mul__(self, other: int) -> int:
        """A multiple."""
        product = int.__mul__(self, other)
        if type(other) is not int:
            return product
        return Size.of(product, {path: factor * other for path, factor in self.terms.items()})

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        """A fraction, if nothing is left over."""
        quotient = int.__floordiv__(self, other)
        if not isinstance(other, int) or quotient * int(other) != self:
            return quotient
        return Size.of(quotient, {path: factor / int(other) for path, factor in self.terms.items()})

    def __add__(self, other: int) -> int:
        """A sum."""
        return self._sum(int.__add__(self, other), other, 1)

    def __sub__(self, other: int) -> int:
        """A difference."""
        return self._sum(int.__sub__(self, other), other, -1)

    def _sum(self, total: int, other: int, sign: int) -> int:
        if not isinstance(other, Size):
            return total
        terms = dict(self.terms)
        for path, factor in other.terms.items():
            terms[path] = terms.get(path, Fraction(0)) + sign * factor
        return Size.of(total, terms)


Heard = Callable[[Any, Any, Any], None]


@torch.library.custom_op(
    "mendsearch::rms_norm", mutates_args=(), schema="(Tensor inputs, int[] shape, Tensor? weight, float? eps) -> Tensor"
)
def _rms_norm_operator(inputs: Tensor, shape: list[int], weight: Tensor | None, eps: float | None) -> Tensor:
    return functional.rms_norm(inputs, shape, weight, eps)


def _rms_norm(inputs: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    found: Tensor = _rms_norm_operator(inputs, list(normalized_shape), weight, eps)
    return found


WHOLE: dict[Any, Callable[..., Any]] = {functional.rms_norm: _rms_norm, torch.rms_norm: _rms_norm}
"""Norms that PyTorch takes apart on a CPU, into operators that do not tell what they are, and what runs them whole."""


class Given(TorchFunctionMode):
    """Within the scope, the integers that the running function of PyTorch was given are known.

    Args:
        heard: called with each function, its arguments and its keyword arguments before it runs.

    Attributes:
        ints: in the order of its arguments; empty where none of them is a `Size`.
        refused: tensors that the last function that raised was given.
    """

    def __init__(self, heard: Heard = lambda func, args, kwargs: None) -> None:
        super().__init__()
        self._heard = heard
        self.ints: list[int] = []
        self.refused: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function."""
        kwargs = kwargs or {}
        self._heard(func, args, kwargs)
        ints = list(_ints((args, tuple(kwargs.values()))))
        outer, self.ints = self.ints, ints if any(isinstance(value, Size) for value in ints) else self.ints
        try:
            return WHOLE.get(func, func)(*args, **kwargs)
        except Exception:
            self.refused = list(tensors_in((args, kwargs)))
            raise
        finally:
            self.ints = outer

    def told(self, value: int) -> Size | None:
        """The size of that value, if all that were given are the same."""
        found = [one for one in self.ints if isinstance(one, Size) and one == value]
        return found[0] if found and all(one.terms == found[0].terms for one in found) else None


def _ints(value: object) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _ints(part)
    elif isinstance(value, slice):
        yield from _ints((value.start, value.stop, value.step))


def kept_sizes(model: nn.Module) -> dict[str, int]:
    """By path, every integer above zero that a module other than PyTorch's own keeps, alone or in a list or tuple."""
    found = {}
    for name, module in model.named_modules():
        if type(module).__module__.startswith("torch."):
            continue
        for key, value in vars(module).items():
            path = f"{name}.{key}" if name else key
            if type(value) is int and value > 0:
                found[path] = value
            elif type(value) in (list, tuple) and all(type(part) is int for part in value):
                found |= {f"{path}.{index}": part for index, part in enumerate(value) if part > 0}
    return found


@contextmanager
def set_sizes(model: nn.Module, sizes: Mapping[str, int]) -> Iterator[None]:
    """Within the scope, attributes have these values, by path; what the scope itself sets stays.

    Raises:
        KeyError: the network has no such attribute.
    """
    before: dict[tuple[int, str], tuple[dict[str, Any], object]] = {}
    after: dict[tuple[int, str], object] = {}
    try:
        for path, size in sizes.items():
            attributes, key, index = _find(model, path)
            before.setdefault((id(attributes), key), (attributes, attributes[key]))
            after[id(attributes), key] = attributes[key] = _changed(attributes[key], index, size)
        yield
    finally:
        for place, (attributes, value) in before.items():
            if attributes[place[1]] is after[place]:
                attributes[place[1]] = value


def put_sizes(model: nn.Module, sizes: Mapping[str, int]) -> None:
    """Set attributes by path, for good; those that the network does not have are left."""
    for path, size in sizes.items():
        with suppress(KeyError):
            attributes, key, index = _find(model, path)
            attributes[key] = _changed(attributes[key], index, size)


def _find(model: nn.Module, path: str) -> tuple[dict[str, Any], str, int | None]:
    """The attributes of the module that a path leads to, the key, and the place in a list or tuple."""
    holder, _, key = path.rpartition(".")
    index = None
    if key.isdigit():
        holder, _, key, index = *holder.rpartition("."), int(key)
    try:
        attributes = vars(model.get_submodule(holder))
        attributes[key]
    except (AttributeError, KeyError):
        raise KeyError(path) from None
    return attributes, key, index


def _changed(value: Any, index: int | None, size: int) -> Any:
    if index is None:
        return size
    parts = [*value[:index], size, *value[index + 1 :]]
    return parts if isinstance(value, list) else tuple(parts)


@contextmanager
def marked(model: nn.Module, heard: Heard) -> Iterator[Given]:
    """Within the scope, sizes that modules keep know their paths, and functions that are given them are seen.

    `heard` is called with each function, its arguments and its keyword arguments before it runs.
    """
    sizes = {path: Size.of(value, {path: Fraction(1)}) for path, value in kept_sizes(model).items()}
    with set_sizes(model, sizes), Given(heard) as given:
        yield given


def unwritten_size(module: nn.Module) -> tuple[str, int] | None:
    """The attribute of a norm without tensors that holds a size, and the dimension of its inputs that has that size."""
    if isinstance(module, nn.modules.batchnorm._NormBase) and not module.affine and not module.track_running_stats:
        return "num_features", 1
    if isinstance(module, nn.LayerNorm | nn.RMSNorm) and module.weight is None and len(module.normalized_shape) == 1:
        return "normalized_shape.0", -1
    return None


def unwritten_sizes(model: nn.Module) -> dict[str, int]:
    """By path, sizes that the network's tensors do not tell."""
    found = kept_sizes(model)
    for name, module in model.named_modules():
        size = unwritten_size(module)
        if size is not None:
            attributes, key, index = _find(model, path := f"{name}.{size[0]}" if name else size[0])
            found[path] = attributes[key] if index is None else attributes[key][index]
    return found
