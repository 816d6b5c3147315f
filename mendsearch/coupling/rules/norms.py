"""Norms: every channel keeps its place, and their parameters go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.rules.base import argument, rule, tensors_of
from mendsearch.coupling.rules.opaque import owed
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


def _with_parameters(tracer: Tracer, units: Ints | None, tensors: list[Any], dim: int = 0) -> Ints | None:
    """Tie the channels of a norm to its parameters; where the inputs have no units, those of the parameters stay."""
    for tensor in tensors:
        own = tracer.axes(tensor).get(dim) if isinstance(tensor, Tensor) else None
        if own is None:
            continue
        if units is None:
            tracer.fix(own, "a norm over channels that stay")
        else:
            tracer.tie(units, own)
    return units


@rule(
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "batch_norm", "_batch_norm_with_update", "_batch_norm_no_update", "miopen_batch_norm",
)  # fmt: skip
def _batch_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced = tracer.get(args[0]) or Traced()
    units = _with_parameters(tracer, traced.axes.get(1), list(args[1:5]))
    layer = tracer.convolved.get(args[0])
    if layer is not None:
        tracer.trace.absorbed.add(layer)
    axes, debts = dict(traced.axes), tracer.debts(args[:5])
    for dim in [dim for dim in axes if dim != 1]:
        debts |= tracer.owe(axes.pop(dim), "statistics over its channels")
    outputs = tensors_of(out)
    tracer.put(outputs[0], Traced(axes, debts))
    for statistics in outputs[1:]:
        told = units is not None and statistics.shape == (len(units),)  # empty in evaluation mode
        tracer.put(statistics, Traced({0: units} if told else {}, debts))  # type: ignore[dict-item]


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def _layer_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced, shape = tracer.get(args[0]) or Traced(), args[1]
    first = args[0].dim() - len(shape)
    parameters = [value for value in args[1:] if isinstance(value, Tensor)]
    for dim in range(first, args[0].dim()):
        _with_parameters(tracer, traced.axes.get(dim), parameters, dim - first)
    outputs = tensors_of(out)
    debts = tracer.debts(args, kwargs)
    tracer.put(outputs[0], Traced(dict(traced.axes), debts))
    for statistics in outputs[1:]:
        tracer.put(statistics, Traced({}, debts))


@rule("native_group_norm")
def _group_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Every norm group loses the same places, so that the groups stay of one size."""
    traced, groups = tracer.get(args[0]) or Traced(), int(argument(func, args, kwargs, "group"))
    units = _with_parameters(tracer, traced.axes.get(1), [args[1], args[2]])
    if units is not None and groups > 1:
        if groups == len(units):
            tracer.fix(units, "a norm group for every channel")
        parts = units.reshape(groups, -1)
        tracer.tie(parts, parts[:1])
    outputs, debts = tensors_of(out), tracer.debts(args, kwargs)
    tracer.put(outputs[0], Traced({} if units is None else {1: units}, debts))
    for statistics in outputs[1:]:
        tracer.put(statistics, Traced({}, debts))


@rule("_weight_norm_interface", "_weight_norm")
def _weight_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Norms of a weight over all dimensions but one: units along the others would change them, so they stay."""
    direction, length, dim = args[0], args[1], int(argument(func, args, kwargs, "dim") or 0)
    traced = tracer.get(direction) or Traced()
    units = traced.axes.get(dim)
    own = tracer.axes(length).get(dim)
    if units is not None and own is not None:
        tracer.tie(units, own)
    debts = tracer.debts(args)
    for other, found in traced.axes.items():
        if other != dim:
            debts |= tracer.owe(found, "the norm of a weight is over it")
    axes = {} if units is None else {dim: units}
    for tensor in tensors_of(out):
        tracer.put(tensor, Traced(axes if tensor.dim() == direction.dim() else {}, debts))


@rule("_spectral_norm")
def _whole(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    tracer.put(out, Traced({}, tracer.debts(args) | owed(tracer, tensors_of(args), "the norm of a weight is over it")))
