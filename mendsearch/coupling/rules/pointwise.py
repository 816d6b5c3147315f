"""Operators on one index at a time: units that meet at the same index go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from mendsearch.coupling.rules.base import conclude, join, rule, tensors_of
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer

ELEMENTWISE = frozenset(
    {
        "native_dropout", "_prelu_kernel", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_",
        "masked_fill", "masked_fill_", "where",
        "clamp", "bernoulli", "bernoulli_", "rrelu_with_noise", "nan_to_num", "fill_", "zero_", "copy_", "copy", "lerp",
    }
)  # fmt: skip
"""Without the tag `pointwise`."""


def elementwise(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Tie what meets; the outputs have the units of the inputs."""
    tensors, outputs = tensors_of((args, kwargs)), tensors_of(out)
    if not outputs:
        return
    axes = join(tracer, tensors, outputs[0])
    source = tracer.get(outputs[0])
    debts = tracer.debts(args, kwargs)
    conclude(tracer, out, axes, debts)
    if func._schema.is_mutable and source is not None and source.source:  # a buffer that is updated stays itself
        tracer.put(outputs[0], Traced(axes, debts, source.source))


@rule("clone", "_to_copy", "detach", "alias", "lift_fresh", "contiguous", "detach_", "requires_grad_", "to", "positive")
def _same(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced = tracer.get(args[0])
    if traced is not None and isinstance(out, Tensor):
        tracer.put(out, Traced(dict(traced.axes), traced.debts))


@rule("glu")
def _gated(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """The halves of a dimension meet."""
    traced = tracer.get(args[0])
    if traced is None:
        return
    axes, dim = dict(traced.axes), int(args[1] if len(args) > 1 else -1) % args[0].dim()
    if dim in axes:
        halves = axes[dim].reshape(2, -1)
        tracer.tie(halves[0], halves[1])
        axes[dim] = halves[0]
    tracer.put(out, Traced(axes, traced.debts))


@rule(
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_empty",
    "new_ones", "new_full", "_local_scalar_dense", "item", "is_nonzero", "equal", "sym_size", "randint_like",
    "new_empty_strided",
)  # fmt: skip
def _new(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Nothing of the values of the input is in the output."""
