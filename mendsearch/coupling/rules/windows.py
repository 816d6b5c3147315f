"""Operators over positions: pooling, resampling, patches. Channels pass; channels among the positions stay whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mendsearch.coupling.rules.base import rule, tensors_of
from mendsearch.coupling.rules.opaque import opaque, owed
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer

POSITIONAL = (
    "max_pool{}d_with_indices", "max_pool{}d", "avg_pool{}d", "_adaptive_avg_pool{}d", "adaptive_avg_pool{}d",
    "adaptive_max_pool{}d", "fractional_max_pool{}d", "upsample_nearest{}d", "_upsample_nearest_exact{}d",
    "reflection_pad{}d", "replication_pad{}d", "max_unpool{}d",
)  # fmt: skip
FLAT = (
    "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
    "upsample_linear1d", "upsample_trilinear3d",
)  # fmt: skip
NAMES = [name.format(count) for name in POSITIONAL for count in (1, 2, 3)] + list(FLAT)


@rule(*NAMES)
def _positions(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    traced = tracer.get(args[0])
    if traced is None:
        return
    found = re.search(r"(\d)d", func.overloadpacket.__name__)
    count = int(found.group(1)) if found else 0
    first, debts, axes = args[0].dim() - count, tracer.debts(args, kwargs), {}
    for dim, units in traced.axes.items():
        if dim >= first:
            debts |= tracer.owe(units, f"{func.overloadpacket.__name__} over its channels")
        else:
            axes[dim] = units
    for tensor in tensors_of(out):
        tracer.put(tensor, Traced(dict(axes), debts))


@rule("im2col")
def _patches(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """(N, C, H, W) -> (N, C k², L), a channel's window side by side."""
    units, batched = tracer.axes(args[0]).get(args[0].dim() - 3), args[0].dim() == 4
    axes = {} if units is None else {int(batched): np.repeat(units, out.shape[int(batched)] // len(units))}
    tracer.put(out, Traced(axes, tracer.debts(args[0])))


@rule("col2im")
def _images(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """(N, C k², L) -> (N, C, H, W): the places of a window go together."""
    batched = args[0].dim() == 3
    units = tracer.axes(args[0]).get(int(batched))
    axes = {}
    if units is not None:
        windows = units.reshape(out.shape[int(batched)], -1)
        tracer.tie(windows, windows[:, :1])
        axes = {int(batched): windows[:, 0].copy()}
    tracer.put(out, Traced(axes, tracer.debts(args[0])))


@rule("grid_sampler_2d", "grid_sampler_3d", "grid_sampler", "roi_align", "roi_pool")
def _sampled(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """(N, C, ...) read at positions that another tensor says."""
    traced = tracer.get(args[0])
    debts = tracer.debts(args, kwargs) | owed(tracer, tensors_of(args[1:]), "positions are computed from its channels")
    if traced is None:
        return opaque(tracer, func, args, kwargs, out)
    tracer.put(tensors_of(out)[0], Traced({d: u for d, u in traced.axes.items() if d == 1}, debts))
