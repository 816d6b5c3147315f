"""What Torch-Pruning's group items mean for the tensors of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from torch_pruning.ops import OPTYPE

Ints = npt.NDArray[np.int64]
UNSUPPORTED = frozenset({OPTYPE.EMBED, OPTYPE.LSTM, OPTYPE.MHA, OPTYPE.UNBIND, OPTYPE.EXPAND, OPTYPE.CUSTOMIZED})
WITHOUT_TENSORS = frozenset(
    {OPTYPE.CONCAT, OPTYPE.SPLIT, OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.SLICE, OPTYPE.OUTPUT} | UNSUPPORTED
)


@dataclass(frozen=True)
class Member:
    """One layer's part in a coupling group.

    Attributes:
        layer: name of the layer, or of the parameter.
        root_idxs: for each index, the channel of the root layer that it goes with.
        axes: (tensor name, dimension, local indices) of what goes.
        produces: the channels are the layer's outputs.
        is_root: a convolution or linear layer, whose output channels form a coupling group.
        is_output: nothing in the network comes after.
        idxs: the layer's indices along its channels.
        period: channels of one conv group or norm group, all of which must lose the same places; None where free.
    """

    layer: str
    root_idxs: list[int]
    axes: tuple[tuple[str, int, Ints], ...]
    produces: bool
    is_root: bool
    is_output: bool
    idxs: list[int]
    period: int | None


def members_of(items: Any, graph: Any, names: dict[nn.Module, str]) -> Iterator[Member]:
    """The members among the items of one Torch-Pruning group."""
    for item in items.items:
        dep, idxs, root_idxs = item.dep, item.idxs, item.root_idxs
        node = dep.target
        produces = graph.is_out_channel_pruning_fn(dep.handler)
        is_output = not node.outputs and produces
        if node.type in WITHOUT_TENSORS:
            if is_output:
                yield Member(str(node.name), root_idxs, (), produces, False, True, idxs, None)
            continue
        if node.type == OPTYPE.PARAMETER:
            name = graph._param_to_name[node.module]
            axes: tuple[tuple[str, int, Ints], ...] = ((name, int(node.pruning_dim), np.array(idxs)),)
            yield Member(name, root_idxs, axes, produces, False, is_output, idxs, None)
            continue
        module, name = node.module, names[node.module]
        period = _period(module, node.type, produces)
        local = np.array(idxs)
        if node.type == OPTYPE.CONV and not produces and period is not None:
            local = local % period
        axes = tuple(
            (f"{name}.{tensor}" if name else tensor, dim, local) for tensor, dim in _axes(module, node.type, produces)
        )
        is_root = node.type in (OPTYPE.CONV, OPTYPE.DEPTHWISE_CONV, OPTYPE.LINEAR)
        yield Member(name, root_idxs, axes, produces, is_root, is_output, idxs, period)


def _period(module: nn.Module, kind: OPTYPE, produces: bool) -> int | None:
    """Channels of one conv group or norm group, where every one of them must lose the same channels."""
    if isinstance(module, nn.modules.conv._ConvNd) and kind == OPTYPE.CONV and module.groups > 1:
        return (module.out_channels if produces else module.in_channels) // module.groups
    if isinstance(module, nn.GroupNorm) and module.num_groups > 1:
        return module.num_channels // module.num_groups
    return None


def _axes(module: nn.Module, kind: OPTYPE, produces: bool) -> Iterator[tuple[str, int]]:
    """Names of the tensors of a layer that shrink, and the dimension."""
    if kind in (OPTYPE.CONV, OPTYPE.LINEAR) and not produces:
        yield "weight", 0 if getattr(module, "transposed", False) else 1
        return
    if kind == OPTYPE.CONV and getattr(module, "transposed", False):
        yield "weight", 1
    elif kind == OPTYPE.PRELU:
        if module.num_parameters > 1:  # type: ignore[operator]
            yield "weight", 0
        return
    elif kind == OPTYPE.LN:
        dim = module.weight.dim() - 1 if module.weight is not None else 0  # type: ignore[operator]
        if module.weight is not None:
            yield "weight", dim
        if module.bias is not None:
            yield "bias", dim
        return
    elif module.weight is not None:
        yield "weight", 0
    if getattr(module, "bias", None) is not None:
        yield "bias", 0
    for buffer in ("running_mean", "running_var"):
        if getattr(module, buffer, None) is not None:
            yield buffer, 0


def tied_units(graph: Any, root: nn.Module, width: int, members: list[Member]) -> Ints:
    """(width,) int64: root channels with the same number can only go together.

    Channels are tied by convolution groups and norm groups, each of which must lose the same places, and by the
    network itself, where one part of a split is added to another.
    """
    parent = list(range(width))

    def find(channel: int) -> int:
        while parent[channel] != channel:
            parent[channel] = parent[parent[channel]]
            channel = parent[channel]
        return channel

    for member in members:
        if member.period is not None:
            first: dict[int, int] = {}
            for index, channel in zip(member.idxs, member.root_idxs, strict=True):
                parent[find(channel)] = find(first.setdefault(index % member.period, channel))
    pruner = graph.get_pruner_of_module(root).prune_out_channels
    for channel in range(width):
        together = graph.get_pruning_group(root, pruner, [channel])[0].idxs
        if together == [channel] and channel == 0:
            break
        for other in together:
            parent[find(other)] = find(channel)
    found = [find(channel) for channel in range(width)]
    return np.unique(found, return_inverse=True)[1].astype(np.int64)
