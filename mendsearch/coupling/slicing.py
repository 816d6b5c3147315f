"""A candidate as slices of the dense state: no copy of the network, no tracing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.copying import call, named_tensors, other_names
from mendsearch.coupling.layout import Coupling, Ints, Layout
from mendsearch.coupling.sizes import set_sizes
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
        self._others = other_names(model)
        self._changing = _buffers_of_its_own(model) & self._dense.keys()
        self._known = False  # which of them passes change
        self._device = next(iter(self._dense.values())).device
        self._modules = {name: model.get_submodule(name) for name in coupling.resized}
        self._places = {layout: (layout.positions(orders), np.maximum(layout.group, 0)) for layout in coupling.layouts}

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

    def sizes(self, state: Mapping[str, Tensor]) -> dict[str, int]:
        """By path, the sizes of a candidate that no tensor tells."""
        if not self.coupling.sizes:
            return {}
        counts = self.coupling.told_counts({name: tuple(tensor.shape) for name, tensor in state.items()})
        return {path: sized.of(counts, self.coupling.widths) for path, sized in self.coupling.sizes.items()}

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
            restore.enter_context(set_sizes(self.model, self.sizes(state)))
            restore.callback(_restore, self._computed())
            yield

    def _computed(self) -> list[tuple[nn.Module, str, Tensor]]:
        """Tensors that modules keep as plain attributes: weights that a hook computes, features of the last pass."""
        return [
            (module, key, value)
            for module in self.model.modules()
            for key, value in vars(module).items()
            if isinstance(value, Tensor)
        ]

    def forward(self, state: dict[str, Tensor], inputs: BatchLike) -> Any:
        """The outputs of the candidate; call it within `sized(state)`."""
        batch = Batch.of(inputs)
        with self._kept(state) as own:
            return call(self.model, own, self._others, *batch.args, **batch.kwargs)

    def apply(self, state: dict[str, Tensor], function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns for the network and further arguments; call it within `sized(state)`.

        While it runs, the network holds the tensors of the candidate: hooks, submodules and several calls work.
        """
        prefix = "model."
        others = {prefix + name: prefix + first for name, first in self._others.items()}
        with self._kept(state) as own:
            held = {prefix + name: tensor for name, tensor in own.items()}
            return call(_Holder(self.model), held, others, function, *arguments)

    @contextmanager
    def _kept(self, state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """The same state, with copies of the buffers that passes change in their place, such as counts of passes."""
        copies = {name: state[name].clone() for name in self._changing if name in state}
        yield state | copies
        if not self._known:
            self._changing, self._known = {name for name, copy in copies.items() if copy._version}, True


class _Holder(nn.Module):
    """A module whose forward pass is any function of another module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(self.model, *arguments)


def _buffers_of_its_own(model: nn.Module) -> set[str]:
    """Names of the buffers that are not the moments of a batch norm, which do not change in evaluation mode."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if not isinstance(module, nn.modules.batchnorm._BatchNorm)
        for name, _ in module.named_buffers(recurse=False)
    }


def _restore(computed: list[tuple[nn.Module, str, Tensor]]) -> None:
    for module, key, value in computed:
        vars(module)[key] = value
