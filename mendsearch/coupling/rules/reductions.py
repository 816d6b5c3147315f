"""Operators along dimensions: what is the same for every unit passes, what mixes units keeps them whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mendsearch.coupling.rules.base import argument, dims_of, rule, tensors_of
from mendsearch.coupling.rules.opaque import opaque
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


@rule(
    "mean", "sum", "amax", "amin", "var", "var_mean", "std", "std_mean", "norm", "linalg_vector_norm", "logsumexp",
    "prod", "max", "min", "argmax", "argmin", "any", "all", "median", "nanmean", "aminmax", "count_nonzero", "nansum",
)  # fmt: skip
def _reduce(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced, name = tracer.get(args[0]), func.overloadpacket.__name__
    if traced is None or len([value for value in args if hasattr(value, "shape")]) > 1:
        return opaque(tracer, func, args, kwargs, out)
    dims = dims_of(_dims(func, args, kwargs), args[0])
    kept = bool(argument(func, args, kwargs, "keepdim"))
    debts = traced.debts
    for dim in dims:
        if dim in traced.axes:
            debts |= tracer.owe(traced.axes[dim], f"{name} over its channels")
    axes = {}
    for dim, units in traced.axes.items():
        if dim not in dims:
            axes[dim if kept else dim - sum(other < dim for other in dims)] = units
    for tensor in tensors_of(out):
        tracer.put(tensor, Traced(dict(axes) if tensor.dim() else {}, debts))


def _dims(func: Any, args: Any, kwargs: Any) -> Any:
    found = argument(func, args, kwargs, "dim")
    if found is None:
        found = argument(func, args, kwargs, "axis")
    return found


@rule(
    "_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum", "cumprod", "sort", "topk", "logcumsumexp", "cummax",
    "cummin", "kthvalue", "mode",
)  # fmt: skip
def _along(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Along one dimension that keeps its place."""
    traced = tracer.get(args[0])
    if traced is None:
        return
    dim = argument(func, args, kwargs, "dim")
    at = (-1 if dim is None else int(dim)) % max(1, args[0].dim())
    axes, debts = dict(traced.axes), traced.debts
    if at in axes:
        debts |= tracer.owe(axes.pop(at), f"{func.overloadpacket.__name__.strip('_')} over its channels")
    for tensor in tensors_of(out):
        fitting = {d: units for d, units in axes.items() if tensor.dim() == args[0].dim()}
        tracer.put(tensor, Traced(fitting, debts))
