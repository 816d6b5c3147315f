"""Attention as one operator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mendsearch.coupling.rules.base import argument, join, rule, tensors_of
from mendsearch.coupling.rules.products import contract
from mendsearch.coupling.units import Traced

if TYPE_CHECKING:
    from mendsearch.coupling.tracing import Tracer


def unscaled_attention(tracer: Tracer, query: Tensor, scale: float | None) -> None:
    """Without a scale of its own attention divides by the root of E, so E cannot shrink."""
    axes = tracer.axes(query)
    if scale is None and query.dim() - 1 in axes:
        tracer.fix(axes[query.dim() - 1], "attention is scaled by the width of its queries")


@rule(
    "scaled_dot_product_attention", "_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable",
)  # fmt: skip
def _attention(tracer: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Queries (..., L, E), keys (..., S, E) and values (..., S, D) give (..., L, D)."""
    query, key, value = (argument(func, args, kwargs, name) for name in ("query", "key", "value"))
    q, k, v = (tracer.axes(tensor) for tensor in (query, key, value))
    last = query.dim() - 1
    contract(tracer, q.get(last), k.get(last))
    unscaled_attention(tracer, query, argument(func, args, kwargs, "scale"))
    mask = argument(func, args, kwargs, "attn_mask")
    axes = join(tracer, tensors_of((query, key, value, mask)), query, skip=(last - 1, last))
    for dim, units in axes.items():
        if not query.shape[dim] == key.shape[dim] == value.shape[dim]:  # several heads of queries share one of keys
            for side in (q, k, v):
                tracer.fix(side.get(dim, units), "heads of queries and of keys are not as many")
    if last in v:
        axes[last] = v[last]
    heads = [axes.get(dim) for dim in range(last - 1)]
    pairs = math.prod(query.shape[:-1]) * key.shape[-2]
    tracer.count(pairs * query.shape[-1], [*heads, q.get(last)], query, key)
    tracer.count(pairs * value.shape[-1], [*heads, v.get(last)], query, value)
    for number, tensor in enumerate(tensors_of(out)):
        tracer.put(tensor, Traced(axes if number == 0 else {}, tracer.debts(args, kwargs)))
