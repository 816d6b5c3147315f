"""Matrix products: the contracted dimension ties, the others pass on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.rules.base import rule
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer

FIXED = "multiplied with a tensor whose size does not follow"


def contract(tracer: Tracer, left: Ints | None, right: Ints | None) -> None:
    """Tie what is summed over together; where one side has no units, those of the other stay."""
    if left is not None and right is not None:
        tracer.tie(left, right)
    elif left is not None or right is not None:
        tracer.fix(left if left is not None else right, FIXED)  # type: ignore[arg-type]  # one of them is there


def multiply(tracer: Tracer, left: Tensor, right: Tensor, out: Tensor, bias: Tensor | None = None) -> None:
    """(..., n, k) times (..., k, m)."""
    a, b, dims = tracer.axes(left), tracer.axes(right), out.dim()
    contract(tracer, a.get(dims - 1), b.get(dims - 2))
    axes: dict[int, Ints] = {}
    for dim in range(dims - 2):
        found = [side[dim] for side in (a, b) if dim in side]
        if found:
            tracer.tie(found[0], found[-1])
            axes[dim] = found[0]
            if len(found) == 1:
                tracer.fix(found[0], FIXED)
    if dims - 2 in a:
        axes[dims - 2] = a[dims - 2]
    if dims - 1 in b:
        axes[dims - 1] = b[dims - 1]
    if bias is not None:
        for dim, units in tracer.axes(bias).items():
            at = dim + dims - bias.dim()
            if at in axes and bias.shape[dim] == len(axes[at]):
                tracer.tie(axes[at], units)
            elif bias.shape[dim] > 1:
                tracer.fix(units, FIXED)
    _note(tracer, left, right, out, bias, axes)
    tracer.put(out, Traced(axes, tracer.debts(left, right, bias)))


def _note(tracer: Tracer, left: Tensor, right: Tensor, out: Tensor, bias: Tensor | None, axes: dict[int, Ints]) -> None:
    """What a product means for the layer that runs it."""
    dims = out.dim()
    for side, dim in ((right, dims - 1), (left, dims - 2)):
        if not tracer.of_input(side):
            tracer.produce(tracer.axes(side).get(dim))
    summed = tracer.axes(left).get(dims - 1)
    shrinking = [summed, *(axes.get(dim) for dim in range(dims))]
    tracer.count(out.numel() * left.shape[-1], shrinking, left, right)
    source = getattr(tracer.get(right), "source", None)
    module = tracer.running()
    if isinstance(module, nn.Linear) and source == tracer.own_weight() and (dims - 1) in tracer.axes(left):
        tracer.read(conv_groups=1, bias=module.bias is not None)


@rule("mm", "bmm", "matmul")
def _product(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    multiply(tracer, args[0], args[1], out)


@rule("addmm", "baddbmm", "addmm_", "baddbmm_")
def _sum_of_products(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    multiply(tracer, args[1], args[2], out, bias=args[0])


@rule("mv", "dot", "vdot", "addmv")
def _vector(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """A vector on one side: what is summed over owes, since a norm or a projection of it is what these compute."""
    left, right = args[-2], args[-1]
    debts = tracer.debts(args)
    for units in (tracer.axes(left).get(left.dim() - 1), tracer.axes(right).get(0)):
        if units is not None:
            debts |= tracer.owe(units, f"aten.{func.overloadpacket.__name__} sums over it")
    axes = {0: tracer.axes(left)[0]} if left.dim() == 2 and 0 in tracer.axes(left) else {}
    tracer.put(out, Traced(axes, debts))
