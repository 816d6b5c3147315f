"""Operators that put tensors side by side, and pad them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.rules.base import argument, join, rule, tensors_of
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


@rule("cat", "concat", "concatenate")
def _cat(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    dim = int(argument(func, args, kwargs, "dim") or 0) % out.dim()
    tensors = [tensor for tensor in args[0] if tensor.dim() == out.dim()]  # an empty one may have any shape
    axes = _across(tracer, tensors, out.dim(), dim)
    if any(dim in tracer.axes(tensor) for tensor in tensors):
        parts = []
        for tensor in tensors:
            units = tracer.axes(tensor).get(dim)
            what = "side by side with channels that stay"
            parts.append(tracer.constant(tensor.shape[dim], what) if units is None else units)
        axes[dim] = np.concatenate(parts)
    tracer.put(out, Traced(axes, tracer.debts(args)))


def _across(tracer: Tracer, tensors: list[Any], dims: int, joined: int) -> dict[int, Ints]:
    """Units along the other dimensions, where the tensors meet."""
    axes: dict[int, Ints] = {}
    for dim in range(dims):
        if dim == joined:
            continue
        found = [tracer.axes(tensor)[dim] for tensor in tensors if dim in tracer.axes(tensor)]
        if not found:
            continue
        for other in found[1:]:
            tracer.tie(found[0], other)
        if any(dim not in tracer.axes(tensor) and tracer.get(tensor) is not None for tensor in tensors):
            tracer.fix(found[0], "meets a tensor whose size does not follow")
        axes[dim] = found[0]
    return axes


@rule("stack")
def _stack(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    dim = int(argument(func, args, kwargs, "dim") or 0) % out.dim()
    axes = join(tracer, list(args[0]), args[0][0])
    tracer.put(out, Traced({at + (at >= dim): units for at, units in axes.items()}, tracer.debts(args)))


@rule("constant_pad_nd", "pad")
def _pad(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Constants beside channels stay; padding of other dimensions changes nothing."""
    traced, pads = tracer.get(args[0]), list(args[1])
    if traced is None:
        return
    axes, debts = {}, traced.debts
    for dim, units in traced.axes.items():
        at = 2 * (args[0].dim() - 1 - dim)
        before, behind = (pads[at], pads[at + 1]) if at + 1 < len(pads) else (0, 0)
        if before < 0 or behind < 0:
            debts |= tracer.owe(units, "cut off by place")
            continue
        ends = [tracer.constant(size, "padded with constants") for size in (before, behind)]
        axes[dim] = np.concatenate([ends[0], units, ends[1]])
    tracer.put(out, Traced(axes, debts))


@rule("meshgrid", "broadcast_tensors")
def _each(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    for given, made in zip(tensors_of(args), tensors_of(out), strict=True):
        traced = tracer.get(given)
        if traced is not None:
            tracer.put(made, Traced(join(tracer, [given], made), traced.debts))
