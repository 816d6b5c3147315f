"""Operators that move values about: they are done on labels by the very same operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.rules.base import argument, dims_of, join, rule, tensors_of
from mendsearch.coupling.rules.opaque import opaque, owed
from mendsearch.coupling.sizes import Size
from mendsearch.coupling.units import Traced, spread, varying

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "_reshape_copy", "view_copy", "flatten", "unflatten")
def _view(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Dimensions are merged and split, a run of them at a time; labels are needed of the run with the units alone."""
    traced = tracer.get(args[0])
    if traced is None:
        return
    moved: dict[int, tuple[int, Tensor]] = {}
    for before, after in _runs(tuple(args[0].shape), tuple(out.shape)):
        for dim, units in traced.axes.items():
            if before.start <= dim < before.stop:
                labels = spread(units, dim - before.start, tuple(args[0].shape[before.start : before.stop]))
                moved[dim] = after.start, labels.reshape([out.shape[at] for at in after])
    _place(tracer, traced, moved, out)
    shape = tracer.given.ints[-out.dim() :]  # the function's last arguments are the sizes, if it was asked for some
    for dim, units in tracer.axes(out).items():
        if len(shape) == out.dim() and shape[dim] == len(units):
            tracer.follow(shape[dim], units)


@rule(
    "repeat", "repeat_interleave", "tile", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle",
)  # fmt: skip
def _move(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Every dimension of units is labelled alone and moved; what it varies along afterwards is where it is."""
    traced = tracer.get(args[0])
    if traced is None:
        return
    moved = {}
    for dim, units in traced.axes.items():
        moved[dim] = 0, func(spread(units, dim, tuple(args[0].shape)).contiguous(), *args[1:], **kwargs)
    _place(tracer, traced, moved, out)


def _place(tracer: Tracer, traced: Traced, moved: dict[int, tuple[int, Tensor]], out: Tensor) -> None:
    """Say where the units of each dimension are, from their labels and the dimension where these begin."""
    axes: dict[int, Ints] = {}
    debts = traced.debts
    for dim, (first, labels) in moved.items():
        units = traced.axes[dim]
        found = _settle(tracer, labels, units)
        if found is None:
            continue
        at, kept = found[0] + first, found[1]
        if at in axes:  # two dimensions of units in one: an index would have two owners
            debts |= tracer.owe(axes.pop(at), "flattened together with other channels")
            debts |= tracer.owe(units, "flattened together with other channels")
        else:
            axes[at] = kept
    tracer.put(out, Traced(axes, debts))


def _runs(before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[tuple[range, range]]:
    """The shortest runs of dimensions with the same number of values, from left to right."""
    left = right = 0
    while left < len(before) or right < len(after):
        start, begin = left, right
        many, others = 1, 1
        while left == start or right == begin or many != others:
            if left < len(before) and (many <= others or right == len(after)):
                many, left = many * before[left], left + 1
            elif right < len(after):
                others, right = others * after[right], right + 1
            else:
                break
        yield range(start, left), range(begin, right)


@rule("unsqueeze", "squeeze", "expand", "expand_copy", "flip", "unsqueeze_copy", "squeeze_copy")
def _same_order(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Dimensions of one index come and go, or are repeated; values may be turned round."""
    traced, name = tracer.get(args[0]), func.overloadpacket.__name__
    if traced is None:
        return
    if name.startswith("flip"):
        axes = {
            dim: units[::-1].copy() if dim in dims_of(args[1], args[0]) else units for dim, units in traced.axes.items()
        }
    elif name.startswith("expand"):
        more = out.dim() - args[0].dim()
        axes = {dim + more: units for dim, units in traced.axes.items() if out.shape[dim + more] == len(units)}
    else:
        numbered = torch.empty([dim + 2 if size > 1 else 1 for dim, size in enumerate(args[0].shape)], device="meta")
        sizes = list(func(numbered, *args[1:], **kwargs).shape)
        axes = {sizes.index(dim + 2): units for dim, units in traced.axes.items() if len(units) > 1}
    tracer.put(out, Traced(axes, traced.debts))


@rule("permute", "permute_copy", "transpose", "transpose_copy", "t", "t_copy", "movedim", "swapaxes", "numpy_T")
def _permute(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Dimensions change places."""
    traced = tracer.get(args[0])
    if traced is None:
        return
    numbered = torch.empty([dim + 2 for dim in range(args[0].dim())], device="meta")
    places = [size - 2 for size in func(numbered, *args[1:], **kwargs).shape]
    axes = {at: traced.axes[dim] for at, dim in enumerate(places) if dim in traced.axes}
    tracer.put(out, Traced(axes, traced.debts, traced.source))


def _settle(tracer: Tracer, labels: Tensor, units: Ints) -> tuple[int, Ints] | None:
    """The dimension along which labels vary, and its units; of several, one is chosen and the others tie."""
    along = varying(labels)
    if not along:
        return None
    if len(along) == 1:
        dim = along[0]
    else:
        dim = tracer.choose(units, {dim: _distinct(labels, dim) for dim in along})
        for other in along:
            if other != dim:
                tracer.tie(labels.numpy(), labels.narrow(other, 0, 1).numpy())
    index: list[Any] = [0] * labels.dim()
    index[dim] = slice(None)
    return dim, labels[tuple(index)].numpy().copy()


def _distinct(labels: Tensor, dim: int) -> int:
    """How many units stand along one dimension, at one place of the others."""
    index: list[Any] = [0] * labels.dim()
    index[dim] = slice(None)
    return len(torch.unique(labels[tuple(index)]))


@rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk")
def _split(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Equal parts lose the same places, so that sizes that are fractions of the whole still fit.

    Parts whose sizes are attributes lose what they like.
    """
    dim = int(argument(func, args, kwargs, "dim") or 0) % args[0].dim()
    sizes = [part.shape[dim] for part in out]
    told = tracer.given.ints[: len(sizes)]
    each = func.overloadpacket.__name__.endswith("with_sizes") and told == sizes
    at = 0
    for number, part in enumerate(out):
        _part(tracer, args[0], part, dim, at, follows=each and all(isinstance(size, Size) for size in told))
        units = tracer.axes(part).get(dim)
        if units is not None and told and sizes[number] == told[number if each else 0]:
            tracer.follow(told[number if each else 0], units)
        at += part.shape[dim]


@rule("slice", "narrow", "slice_copy")
def _slice(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    dim = int(argument(func, args, kwargs, "dim") or 0) % args[0].dim()
    start = argument(func, args, kwargs, "start") or 0
    step = argument(func, args, kwargs, "step") or 1
    size = args[0].shape[dim]
    start = max(0, start + size) if start < 0 else min(start, size)
    units = tracer.axes(args[0]).get(dim)
    ends = [end for end in (start, start + out.shape[dim]) if 0 < end < size]
    told = [tracer.given.told(end) for end in ends]
    follows = units is not None and step == 1 and all(told)
    if units is not None and follows:
        for end, found in zip(ends, told, strict=True):
            tracer.follow(found, units[:end])
    _part(tracer, args[0], out, dim, start, step, follows)


def _part(
    tracer: Tracer, whole: Tensor, part: Tensor, dim: int, start: int, step: int = 1, follows: bool = False
) -> None:
    """Units of a part, whose ends are attributes if it `follows`."""
    traced = tracer.get(whole)
    if traced is None:
        return
    axes, debts = dict(traced.axes), traced.debts
    units, size = axes.pop(dim, None), part.shape[dim]
    if units is not None and size == len(units) and step == 1:
        axes[dim] = units
    elif units is not None and follows:
        axes[dim] = units[start : start + size]
    elif units is not None and size and step == 1 and len(units) % size == 0 and start % size == 0 and size > 1:
        parts = units.reshape(-1, size)
        tracer.tie(parts, parts[:1])
        axes[dim] = units[start : start + size]
    elif units is not None:
        debts |= tracer.owe(units, "a part of its channels is taken by place")
    tracer.put(part, Traced(axes, debts))


@rule("select", "unbind", "select_copy")
def _select(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced = tracer.get(args[0])
    if traced is None:
        return
    dim = int(argument(func, args, kwargs, "dim") or 0) % args[0].dim()
    axes, debts = dict(traced.axes), traced.debts
    if dim in axes:
        debts |= tracer.owe(axes.pop(dim), "single channels are taken by place")
    moved = {at - (at > dim): units for at, units in axes.items()}
    for tensor in tensors_of(out):
        tracer.put(tensor, Traced(dict(moved), debts))


@rule("index_select", "gather", "roll", "take_along_dim", "unfold")
def _by_place(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Values are taken by place along dimensions: units along them stay, others pass."""
    traced = tracer.get(args[0])
    if traced is None:
        return opaque(tracer, func, args, kwargs, out)
    name = func.overloadpacket.__name__
    given = argument(func, args, kwargs, "dims" if name == "roll" else "dimension" if name == "unfold" else "dim")
    dims = dims_of(given, args[0])
    axes, debts = dict(traced.axes), tracer.debts(args, kwargs)
    for dim in dims:
        if dim in axes:
            debts |= tracer.owe(axes.pop(dim), "its channels are taken by place")
    tracer.put(out, Traced({d: u for d, u in axes.items() if out.shape[d] == len(u)}, debts))


@rule("index", "_unsafe_index")
def _index(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Advanced indexing: units along indexed dimensions stay; the others are found by doing it on labels."""
    traced = tracer.get(args[0])
    if traced is None:
        return opaque(tracer, func, args, kwargs, out)
    indexed = {dim for dim, index in enumerate(args[1]) if index is not None}
    booleans = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    if booleans:
        return opaque(tracer, func, args, kwargs, out, "values are taken by a mask")
    axes: dict[int, Ints] = {}
    debts = tracer.debts(args, kwargs)
    for dim, units in traced.axes.items():
        if dim in indexed:
            debts |= tracer.owe(units, "its channels are taken by place")
            continue
        labels = spread(units, dim, tuple(args[0].shape)).to(args[0].device)
        found = _settle(tracer, func(labels, args[1]).cpu(), units)
        if found is not None:
            axes[found[0]] = found[1]
    tracer.put(out, Traced(axes, debts))


@rule("as_strided", "as_strided_")
def _strided(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """A tensor of the same sizes, in another order in memory (pooling to one position of channels-last maps)."""
    traced = tracer.get(args[0])
    if traced is not None and args[0].shape == out.shape and 1 in args[0].shape[2:]:
        tracer.put(out, Traced(dict(traced.axes), traced.debts))
        return
    debts = tracer.debts(args[0]) | owed(tracer, [args[0]], "read by strides of its memory")
    tracer.put(out, Traced({}, debts))


@rule("index_put", "index_put_", "_index_put_impl_")
def _put(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Items written by their number: what is along the other dimensions meets what is there."""
    target, indices, values = args[:3]
    if len(indices) != 1 or values.dim() != target.dim():
        return opaque(tracer, func, args, kwargs, out, "values are written by place")
    debts = tracer.debts(args) | owed(tracer, [tensor for tensor in indices if tensor is not None], "used as an index")
    for tensor in (target, values):
        if 0 in tracer.axes(tensor):
            debts |= tracer.owe(tracer.axes(tensor)[0], "its channels are written by place")
    known = [tensor for tensor in (target, values) if tracer.get(tensor) is not None]
    tracer.put(out, Traced(join(tracer, known, out, skip=(0,)), debts))
