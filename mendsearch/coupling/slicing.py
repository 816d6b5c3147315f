"""A candidate as slices of the dense state: no copy of the network, no tracing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from mendsearch.coupling.layout import Coupling, Ints, Layout
from mendsearch.coupling.surgery import sized_attributes


class Slicer:
    """Slices the state of one dense network by the rank orders of one filter ranking.

    Args:
        model: the dense network; never changed, but for attributes while `forward` runs.
        coupling: of that network.
        orders: for each coupling group its channels, best first.
        tensors: by name, used in place of the network's own parameters and buffers.
    """

    def __init__(
        self, model: nn.Module, coupling: Coupling, orders: list[Ints], tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        self.model, self.coupling = model, coupling
        self._dense = {name: tensor.detach() for name, tensor in named_tensors(model).items()} | dict(tensors or {})
        self._device = next(iter(self._dense.values())).device
        self._modules = {name: model.get_submodule(name) for name in coupling.resized}
        self._witness = {layout: (name, dim) for name, axes in coupling.axes.items() for dim, layout in axes}
        self._places = {
            layout: (layout.positions(orders), np.maximum(layout.group, 0)) for layout in coupling.layouts
        }

    @property
    def dense(self) -> Mapping[str, Tensor]:
        """The dense parameters and buffers by name; one that has several names is there once."""
        return self._dense

    def kept(self, counts: Ints) -> dict[Layout, Tensor]:
        """Kept indices of every layout, int64, ascending."""
        return {
            layout: torch.from_numpy(np.flatnonzero(place < counts[group])).to(self._device)
            for layout, (place, group) in self._places.items()
        }

    def slice(self, counts: Ints) -> dict[str, Tensor]:
        """The state of a candidate; tensors may be shared with the dense network where nothing is removed.

        Args:
            counts: (G,) int64, 1 <= count <= width.
        """
        return self.take(self.kept(counts))

    def take(self, kept: Mapping[Layout, Tensor]) -> dict[str, Tensor]:
        """As `slice`, of indices that `kept` gave."""
        state = dict(self._dense)
        for name, axes in self.coupling.axes.items():
            for dim, layout in axes:
                state[name] = state[name].index_select(dim, kept[layout])
        return state

    @contextmanager
    def sized(self, state: Mapping[str, Tensor]) -> Iterator[None]:
        """Within the scope, the network's attributes fit `state`; they are restored whatever happens."""
        with ExitStack() as restore:
            for name, module in self._modules.items():
                prefix = f"{name}." if name else ""
                own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
                shapes = {key: tuple(state[prefix + key].shape) for key in own if prefix + key in state}
                for attribute, value in sized_attributes(module, shapes).items():
                    restore.callback(setattr, module, attribute, getattr(module, attribute))
                    setattr(module, attribute, value)
            for name, (attribute, layout) in self.coupling.sizes.items():
                if layout in self._witness:
                    tensor, dim = self._witness[layout]
                    size = state[tensor].shape[dim]
                    module = self.model.get_submodule(name)
                    restore.callback(setattr, module, attribute, getattr(module, attribute))
                    setattr(module, attribute, (size,) if attribute == "normalized_shape" else size)
            yield

    def forward(self, state: dict[str, Tensor], images: Tensor) -> Any:
        """The output of the candidate for images (N, C, H, W); call it within `sized(state)`."""
        return self.run(state, (images,))

    def run(self, state: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Any:
        """As `forward`, of several inputs."""
        return functional_call(self.model, state, inputs)


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; one that has several names is there once."""
    state = model.state_dict(keep_vars=True)
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor for name, tensor in named.items() if name in state}
