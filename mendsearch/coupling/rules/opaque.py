"""Operators that are not understood: the units that reach them stay, if what they give has a part in the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from mendsearch.coupling.rules.base import tensors_of
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


def opaque(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any, what: str | None = None) -> None:
    """Owe all units of all inputs; the outputs have sizes that do not follow."""
    what = what or f"aten.{func.overloadpacket.__name__} has no rule"
    debts = tracer.debts(args, kwargs) | owed(tracer, tensors_of((args, kwargs)), what)
    for tensor in tensors_of(out):
        tracer.put(tensor, Traced({}, debts))


def owed(tracer: Tracer, tensors: list[Tensor], what: str) -> frozenset[int]:
    """A debt for all units of these tensors."""
    debts: frozenset[int] = frozenset()
    for tensor in tensors:
        for units in tracer.axes(tensor).values():
            debts |= tracer.owe(units, what)
    return debts
