"""The dense network with channels silenced: what a sliced network must give.

Wherever a removed unit stands in a tensor of the forward pass, a zero is put as soon as an operator has run. Norms
whose statistics are over channels (layer norm, group norm) take them over the channels that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.trace import Trace
from mendsearch.coupling.tracing import Tracer


class Silenced(Tracer):
    """Within the scope, removed units are zero.

    Args:
        model: the dense network.
        trace: of it; left as it is.
        removed: (units,) bool.
        tensors: the parameters and buffers that the pass will use.
        on_module: called with name and outputs after every module.
    """

    def __init__(
        self,
        model: nn.Module,
        trace: Trace,
        removed: np.ndarray,
        tensors: dict[str, Tensor],
        on_module: Callable[[str, Any], None],
    ) -> None:
        super().__init__(model, trace.fork(trace.places), tensors)
        self._removed, self._on_module = removed, on_module

    def leave(self, name: str, outputs: Any) -> None:
        """A module has run."""
        super().leave(name, outputs)
        self._on_module(name, outputs)

    def kept(self, units: Ints) -> Tensor:
        """Kept indices of a dimension with these units, ascending; what this pass alone knows is never removed."""
        known = units < len(self._removed)
        gone = np.where(known, self._removed[np.where(known, units, 0)], False)
        return torch.from_numpy(np.flatnonzero(~gone))

    def compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The operator, norms over channels over those that are left."""
        name = func.overloadpacket.__name__
        if name in ("native_layer_norm", "_fused_rms_norm", "rms_norm"):
            return self._layer_norm(func, *args)
        if name == "native_group_norm":
            return self._group_norm(func, *args)
        return super().compute(func, args, kwargs)

    def _layer_norm(self, func: Any, inputs: Tensor, shape: Any, *rest: Any) -> Any:
        first = inputs.dim() - len(shape)
        over = {dim: units for dim, units in self.axes(inputs).items() if dim >= first}
        if len(over) != 1:
            return func(inputs, shape, *rest)
        dim, units = next(iter(over.items()))
        kept = self.kept(units).to(inputs.device)
        parameters = [part.index_select(dim - first, kept) if isinstance(part, Tensor) else part for part in rest]
        taken = inputs.index_select(dim, kept)
        made = func(taken, list(taken.shape[first:]), *parameters)
        if isinstance(made, Tensor):
            return inputs.new_zeros(inputs.shape).index_copy(dim, kept, made)
        return inputs.new_zeros(inputs.shape).index_copy(dim, kept, made[0]), *made[1:]

    def _group_norm(self, func: Any, inputs: Tensor, weight: Any, bias: Any, *rest: Any) -> Any:
        units = self.axes(inputs).get(1)
        if units is None:
            return func(inputs, weight, bias, *rest)
        kept = self.kept(units).to(inputs.device)
        items, _, positions, groups, eps = rest
        parameters = [part if part is None else part[kept] for part in (weight, bias)]
        made = func(inputs.index_select(1, kept).contiguous(), *parameters, items, len(kept), positions, groups, eps)
        return inputs.new_zeros(inputs.shape).index_copy(1, kept, made[0]), *made[1:]

    def after(self, out: Any) -> None:
        """Put zeros where removed units stand."""
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.numel() and 0 in tensor.stride():
                continue  # a tensor that repeats another one, which has its zeros already
            for dim, units in self.axes(tensor).items():
                gone = np.ones(len(units), dtype=bool)
                gone[self.kept(units).numpy()] = False
                if gone.any():
                    tensor.index_fill_(dim, torch.from_numpy(np.flatnonzero(gone)).to(tensor.device), 0.0)
