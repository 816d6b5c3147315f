"""Convolutions and embeddings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.rules.base import rule, tensors_of
from mendsearch.coupling.rules.opaque import owed
from mendsearch.coupling.rules.products import contract
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


@rule("convolution", "_convolution", "convolution_overrideable")
def _convolution(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    inputs, weight, bias = args[:3]
    transposed, groups = bool(args[6]), int(args[8])
    convolve(tracer, inputs, weight, bias, out, transposed, groups)


def convolve(
    tracer: Tracer, inputs: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, transposed: bool, groups: int
) -> None:
    """Tie what a convolution reads to its weight, and label what it puts out by its weight.

    Every conv group loses the same places; where each reads one channel (depthwise), a group goes as a whole.
    """
    channel = inputs.dim() - (weight.dim() - 1)
    axes, own = tracer.axes(inputs), tracer.axes(weight)
    debts = tracer.debts(inputs, weight, bias)
    for dim, units in axes.items():
        if dim > channel:
            debts |= tracer.owe(units, "a convolution over its channels")
    read, (inner, outer) = axes.get(channel), (own.get(0), own.get(1)) if transposed else (own.get(1), own.get(0))
    per_group = weight.shape[0] // groups if transposed else weight.shape[1]
    if groups == 1:
        contract(tracer, read, inner)
        made = outer
    else:
        made = _grouped(tracer, read, inner, outer, transposed, groups, per_group)
    if bias is not None and made is not None and 0 in tracer.axes(bias):
        tracer.tie(made, tracer.axes(bias)[0])
    if not tracer.of_input(weight):
        tracer.produce(outer)
    outputs = {} if made is None else {channel: made}
    if 0 in axes and channel > 0:
        outputs[0] = axes[0]
    tracer.put(out, Traced(outputs, debts))
    _note(tracer, inputs, weight, out, transposed, groups, read, inner, made)


def _grouped(
    tracer: Tracer, read: Ints | None, inner: Ints | None, outer: Ints | None, transposed: bool, groups: int,
    per_group: int,
) -> Ints | None:  # fmt: skip
    """Ties of a convolution in groups; gives the units of its output channels."""
    what = "a grouped convolution of a tensor whose size does not follow"
    if transposed and outer is not None:  # every group has the output channels of the weight
        if read is not None:
            tracer.fix(read, "a transposed convolution in groups")
        return _fixed(tracer, outer, len(outer) * groups)
    if per_group == 1:
        if read is None or outer is None:
            for units in (read, outer):
                if units is not None:
                    tracer.fix(units, what)
            return outer
        tracer.tie(read[:, None], outer.reshape(groups, -1))
        return outer
    if read is not None:
        parts = read.reshape(groups, per_group)
        tracer.tie(parts, parts[:1])
        contract(tracer, parts[0], inner)
    elif inner is not None:
        tracer.fix(inner, what)
    if outer is not None:
        rows = outer.reshape(groups, -1)
        tracer.tie(rows, rows[:1])
    return outer


def _fixed(tracer: Tracer, units: Ints, size: int) -> Ints:
    tracer.fix(units, "a transposed convolution in groups")
    return np.resize(units, size)


def _note(
    tracer: Tracer, inputs: Tensor, weight: Tensor, out: Tensor, transposed: bool, groups: int,
    read: Ints | None, inner: Ints | None, made: Ints | None,
) -> None:  # fmt: skip
    """What a convolution means for the layer that runs it: its cost, and that it reads units."""
    places = inputs if transposed else out  # what each tap of the kernel is applied at, for every channel of it
    macs = places.numel() * weight.shape[1] * math.prod(weight.shape[2:])
    within = read if transposed else inner if weight.shape[1] > 1 else None
    tracer.count(macs, [made, within], inputs, weight)
    module, traced = tracer.running(), tracer.get(weight)
    if isinstance(module, nn.modules.conv._ConvNd) and traced is not None and traced.source == tracer.own_weight():
        tracer.convolved[out] = tracer.module
        if read is not None and not transposed and (groups == 1 or weight.shape[1] > 1):
            tracer.read(conv_groups=groups, bias=module.bias is not None)


@rule("embedding", "_embedding_bag", "_embedding_bag_forward_only")
def _embedding(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Rows of a table by index: its columns are channels."""
    own = tracer.axes(args[0])
    if 0 in own:
        tracer.fix(own[0], "an index looks it up")
    made = tensors_of(out)[0]
    tracer.produce(own.get(1))
    debts = tracer.debts(args, kwargs) | owed(tracer, tensors_of(args[1:]), "used as an index")
    tracer.put(made, Traced({made.dim() - 1: own[1]} if 1 in own else {}, debts))
