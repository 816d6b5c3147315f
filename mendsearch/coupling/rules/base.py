"""The table of rules, and what several rules share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer

Rule = Callable[["Tracer", Any, tuple[Any, ...], dict[str, Any], Any], None]
RULES: dict[str, Rule] = {}
"""By the name of the ATen operator, without its overload."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators of these names."""

    def register(found: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, found))
        return found

    return register


def tensors_of(values: object) -> list[Tensor]:
    """The tensors among nested arguments or outputs, in order."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def dims_of(given: int | list[int] | tuple[int, ...] | None, tensor: Tensor) -> list[int]:
    """Dimensions as an operator was given them, none below zero; all of them where it was given none."""
    if given is None or (not isinstance(given, int) and not len(given)):
        return list(range(tensor.dim()))
    return [dim % max(1, tensor.dim()) for dim in ([given] if isinstance(given, int) else given)]


def argument(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
    """The argument of that name, its default where it is not given."""
    for position, declared in enumerate(func._schema.arguments):
        if declared.name == name:
            if name in kwargs:
                return kwargs[name]
            return args[position] if position < len(args) else declared.default_value
    return None


def join(tracer: Tracer, tensors: list[Tensor], out: Tensor, skip: tuple[int, ...] = ()) -> dict[int, Ints]:
    """Tie the units of tensors that meet, aligned at their last dimension, and give those of what comes out.

    A tensor that was traced and has no units along a dimension keeps its size there: what meets it stays whole. One
    that was made within the pass (a mask, zeros) is assumed to follow the size of the others; the probe sees if it
    does not.

    Args:
        tracer: follows the pass.
        tensors: that meet.
        out: what comes out.
        skip: dimensions of `out` to leave out.
    """
    axes: dict[int, Ints] = {}
    for dim in range(out.dim()):
        if dim in skip:
            continue
        found, fixed = [], False
        for tensor in tensors:
            own = dim - (out.dim() - tensor.dim())
            traced = tracer.get(tensor)
            if own < 0 or traced is None or tensor.shape[own] != out.shape[dim]:
                continue
            if own in traced.axes:
                found.append(traced.axes[own])
            elif tensor.shape[own] > 1:
                fixed = True
        if not found:
            continue
        for other in found[1:]:
            tracer.tie(found[0], other)
        if fixed:
            tracer.fix(found[0], "meets a tensor whose size does not follow")
        axes[dim] = found[0]
    return axes


def conclude(tracer: Tracer, out: Any, axes: dict[int, Ints], debts: frozenset[int]) -> None:
    """Give every output tensor the same units, where its sizes are those of the units."""
    for tensor in tensors_of(out):
        fitting = {dim: units for dim, units in axes.items() if dim < tensor.dim() and tensor.shape[dim] == len(units)}
        tracer.put(tensor, Traced(fitting, debts))
