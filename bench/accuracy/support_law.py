"""The law, tried without the engine's means: a pruned network equals the dense one with the removed channels at zero.

Along every dimension that shrinks, the removed indices of every weight, bias and statistic are set to zero in the dense
network. What a removed channel puts out is then read by nothing. Only norms over channels (layer, group and RMS norm)
would notice: they are taken over the channels that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from mendsearch.batches import Batch
from mendsearch.coupling.copying import call, other_names
from mendsearch.coupling.layout import Coupling, Layout


def tensors(outputs: object) -> list[Tensor]:
    """Every tensor among outputs."""
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def silenced(
    model: nn.Module,
    coupling: Coupling,
    kept: Mapping[Layout, Tensor],
    state: Mapping[str, Tensor],
    inputs: tuple[Tensor, ...],
) -> list[Tensor]:
    """What the dense network gives without the channels that are not kept.

    Args:
        model: the dense network.
        coupling: of it.
        kept: of every layout, the indices that stay.
        state: tensors of the dense network by name.
        inputs: of the network.
    """
    zeroed = dict(state)
    for name, axes in coupling.axes.items():
        for dim, layout in axes:
            gone = torch.ones(len(layout.group), dtype=torch.bool)
            gone[kept[layout]] = False
            value = 1.0 if name.endswith("running_var") else 0.0
            zeroed[name] = zeroed[name].index_fill(dim, gone.nonzero().flatten(), value)
    weights = {
        id(zeroed[name]): kept[axes[0][1]] for name, axes in coupling.axes.items() if len(axes) == 1 and axes[0][0] == 0
    }
    with _NormsOfTheRest(weights):
        batch = Batch.of(inputs)
        return tensors(call(model, zeroed, other_names(model), *batch.args, **batch.kwargs))


class _NormsOfTheRest(TorchFunctionMode):
    """Within the scope, norms over channels are over those that are kept.

    Args:
        kept: by id of a norm's weight, its kept indices.
    """

    def __init__(self, kept: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.kept = kept

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function."""
        kwargs = kwargs or {}
        norm = NORMS.get(func)
        if norm is not None:
            weight = args[2] if len(args) > 2 else kwargs.get("weight")
            if id(weight) in self.kept:
                return norm(self.kept[id(weight)], *args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    kept: Tensor, x: Tensor, normalized_shape: Any, weight: Tensor, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    part = F.layer_norm(x[..., kept], (len(kept),), weight[kept], None if bias is None else bias[kept], eps)
    return torch.zeros_like(x).index_copy(x.dim() - 1, kept, part)


def _rms_norm(kept: Tensor, x: Tensor, normalized_shape: Any, weight: Tensor, eps: float | None = None) -> Tensor:
    return torch.zeros_like(x).index_copy(x.dim() - 1, kept, F.rms_norm(x[..., kept], (len(kept),), weight[kept], eps))


def _group_norm(
    kept: Tensor, x: Tensor, num_groups: int, weight: Tensor, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    part = F.group_norm(x[:, kept], num_groups, weight[kept], None if bias is None else bias[kept], eps)
    return torch.zeros_like(x).index_copy(1, kept, part)


NORMS: dict[Any, Callable[..., Any]] = {F.layer_norm: _layer_norm, F.group_norm: _group_norm, F.rms_norm: _rms_norm}


def distance(left: list[Tensor], right: list[Tensor]) -> float:
    """Largest difference, relative to the largest value of the tensor; infinite where shapes differ."""
    if len(left) != len(right) or any(one.shape != other.shape for one, other in zip(left, right, strict=True)):
        return float("inf")
    found = [0.0]
    for one, other in zip(left, right, strict=True):
        if one.is_floating_point() and one.numel():
            scale = max(float(one.abs().max()), 1e-12)
            error = float((one - other).abs().max()) / scale
            found.append(error if error == error else float("inf"))
    return max(found)
