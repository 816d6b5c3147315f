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

RUN_BY_ATTRIBUTE = ("groups", "normalized_shape")


class Slicer:
    """Slices the state of one dense network by the rank orders of one filter ranking.

    Args:
        model: the dense network; never changed, but for attributes while `forward` runs.
        coupling: of that network.
        orders: for each coupling group its channels, best first.
    """

    def __init__(self, model: nn.Module, coupling: Coupling, orders: list[Ints]) -> None:
        self.model, self.coupling = model, coupling
        self._dense = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self._device = next(iter(self._dense.values())).device
        self._modules = {name: model.get_submodule(name) for name in coupling.resized}
        self._places = {layout: (layout.positions(orders), np.maximum(layout.group, 0)) for layout in coupling.layouts}

    @property
    def dense(self) -> Mapping[str, Tensor]:
        """The dense state dict, by name."""
        return self._dense

    def kept(self, counts: Ints) -> dict[Layout, Tensor]:
        """Kept indices of every layout, int64, ascending, by layout."""
        return {
            layout: torch.from_numpy(np.flatnonzero(place < counts[group])).to(self._device)
            for layout, (place, group) in self._places.items()
        }

    def slice(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate; tensors may be shared with the dense network where nothing is removed.

        Args:
            counts: (G,) int64, 1 <= count <= width.
        """
        return self.take(self.kept(counts))

    def take(self, kept: dict[Layout, Tensor]) -> dict[str, Tensor]:
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
                    if attribute in RUN_BY_ATTRIBUTE:
                        restore.callback(setattr, module, attribute, getattr(module, attribute))
                        setattr(module, attribute, value)
            yield

    def forward(self, state: dict[str, Tensor], images: Tensor) -> Any:
        """The output of the candidate for images (N, C, H, W); call it within `sized(state)`."""
        return functional_call(self.model, state, (images,))
