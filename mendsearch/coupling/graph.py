"""Coupling groups by Torch-Pruning's DependencyGraph (Fang et al., "DepGraph", CVPR 2023).

The graph says which indices of which layers go when one channel goes. This module turns that into layouts, and keeps
whole whatever it does not say soundly.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor, nn

from mendsearch.coupling.layout import Consumer, Coupling, CouplingGroup, Layout
from mendsearch.coupling.members import UNSUPPORTED, Member, members_of, tied_units
from mendsearch.errors import CouplingError, DataError

OUTPUT = "its channels are the network's output"
EXCLUDED = "excluded by [prune] exclude"
SINGLE = "all its channels hang together, so that none can go alone"
Roots = (nn.modules.conv._ConvNd, nn.Linear)


def find_coupling(model: nn.Module, example: Tensor, exclude: tuple[str, ...] = ()) -> Coupling:
    """The coupling groups of a network.

    Args:
        model: not changed.
        example: (N, C, H, W) images; one is enough.
        exclude: layers that keep all their output channels, names or patterns.

    Raises:
        DataError: the network refuses images of that shape.
        CouplingError: a pattern of `exclude` matches no layer, or nothing is prunable.
    """
    traced = copy.deepcopy(model).eval()
    graph = _trace(traced, example)
    names = {module: name for name, module in traced.named_modules()}
    roots = [(name, module) for name, module in traced.named_modules() if isinstance(module, Roots)]
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name, _ in roots):
            raise CouplingError(f"[prune] exclude: {pattern!r} matches no layer; `mendsearch inspect` lists them")
    builder = _Builder(traced, names, exclude)
    for name, module in roots:
        if module not in graph.module2node:
            builder.whole[name] = "the forward pass does not use it, or not in a way that can be traced"
        elif name not in builder.visited:
            try:
                builder.add(name, graph, module)
            except Exception as error:
                raise CouplingError(_untraceable(error)) from error
    coupling = builder.finish(graph)
    if not coupling.groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(coupling.whole.items())[:3])
        raise CouplingError(
            f"nothing in the network is prunable ({reasons or 'it has no convolution or linear layer'})"
        )
    return coupling


def _trace(model: nn.Module, example: Tensor) -> Any:
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    device = next(model.parameters()).device
    image = example[:1].to(device)
    try:
        with torch.no_grad():
            model(image)
    except Exception as error:  # a forward may raise anything
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise DataError(
            f"the network refuses images of shape {tuple(image.shape[1:])}: {reason}; check [data] and [model] kwargs"
        ) from error
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        try:
            return tp.DependencyGraph().build_dependency(model, example_inputs=(image,), verbose=False)
        except Exception as error:
            raise CouplingError(_untraceable(error)) from error


def _untraceable(error: Exception) -> str:
    return (
        f"the network's channels cannot be traced ({type(error).__name__} in Torch-Pruning); operations that move "
        f"channels, such as a channel shuffle or halves put together the other way round, are not understood"
    )


class _Builder:
    """Collects groups and the owner of every index, tensor by tensor."""

    def __init__(self, model: nn.Module, names: dict[nn.Module, str], exclude: tuple[str, ...]) -> None:
        self.whole: dict[str, str] = {}
        self.visited: set[str] = set()
        self._modules, self._names, self._exclude = dict(model.named_modules()), names, exclude
        self._shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        self._groups: list[CouplingGroup] = []
        self._owners: dict[tuple[str, int], tuple[Any, Any]] = {}

    def add(self, name: str, graph: Any, root: nn.Module) -> None:
        """Take in the channels that `root` puts out, or note why its layers stay whole."""
        width = graph.get_out_channels(root)
        items = graph.get_pruning_group(root, graph.get_pruner_of_module(root).prune_out_channels, list(range(width)))
        members = list(members_of(items, graph, self._names))
        producers = tuple(dict.fromkeys(m.layer for m in members if m.produces and m.is_root))
        self.visited.update(producers, [name])
        units = tied_units(graph, root, width, members)
        reason = self._reason(items, members, producers, units)
        if reason is not None:
            self.whole.update(dict.fromkeys(producers or (name,), reason))
            return
        in_order = tuple(layer for layer in self._modules if layer in producers)
        index = len(self._groups)
        self._groups.append(CouplingGroup(in_order[0], int(units.max()) + 1, in_order))
        for member in members:
            self._own(member, index, units)

    def _reason(self, items: Any, members: list[Member], producers: tuple[str, ...], units: Any) -> str | None:
        for dep, _ in items:
            if dep.target.type in UNSUPPORTED:
                return f"coupled with a {type(dep.target.module).__name__}, whose channels cannot be removed"
        if any(m.is_output for m in members):
            return OUTPUT
        excluded = [layer for layer in producers if any(fnmatchcase(layer, pattern) for pattern in self._exclude)]
        if excluded:
            return EXCLUDED if len(producers) == 1 else f"{EXCLUDED} (through `{excluded[0]}`)"
        if units.max() == 0:
            return SINGLE
        for member in members:
            for tensor, dim, local in member.axes:
                taken = self._owners.get((tensor, dim))
                if taken is not None and (taken[0][local] >= 0).any():
                    return (
                        f"its channels meet those of `{self._groups[taken[0][local].max()].name}` in `{member.layer}`"
                    )
        return None

    def _own(self, member: Member, index: int, units: Any) -> None:
        for tensor, dim, local in member.axes:
            size = self._shapes[tensor][dim]
            group, unit = self._owners.setdefault((tensor, dim), (np.full(size, -1), np.zeros(size, dtype=np.int64)))
            group[local] = index
            unit[local] = units[np.array(member.root_idxs)]

    def finish(self, graph: Any) -> Coupling:
        interned: dict[bytes, Layout] = {}
        axes: dict[str, list[tuple[int, Layout]]] = {}
        for (tensor, dim), (group, unit) in self._owners.items():
            layout = interned.setdefault(group.tobytes() + b"/" + unit.tobytes(), Layout(group, unit))
            axes.setdefault(tensor, []).append((dim, layout))
        resized = tuple(dict.fromkeys(tensor.rpartition(".")[0] for tensor in axes))
        in_order = tuple(name for name in self._modules if name in resized)
        return Coupling(
            tuple(self._groups),
            {tensor: tuple(sorted(dims, key=lambda pair: pair[0])) for tensor, dims in axes.items()},
            tuple(self._consumers(axes, graph)),
            self.whole,
            in_order,
        )

    def _consumers(self, axes: dict[str, list[tuple[int, Layout]]], graph: Any) -> Iterator[Consumer]:
        for name, module in self._modules.items():
            transposed = getattr(module, "transposed", False)
            if not isinstance(module, Roots) or transposed:
                continue
            conv_groups = getattr(module, "groups", 1)
            for dim, layout in axes.get(f"{name}.weight", ()):
                if dim == 1:
                    batch_norm = any(
                        isinstance(node.module, nn.modules.batchnorm._BatchNorm)
                        for node in graph.module2node[module].outputs
                    )
                    yield Consumer(name, layout, conv_groups, module.bias is not None or batch_norm)
