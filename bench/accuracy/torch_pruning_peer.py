"""Torch-Pruning's networks at a budget: group magnitude, the same fraction of every group or one threshold for all."""

from __future__ import annotations

import copy

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.flop_counter import FlopCounterMode

from mendsearch.coupling.graph import find_coupling

STEPS = 14
"""Halvings of the interval that the pruning ratio is looked for in."""
BATCH = 128
"""Images per pass of the BN recalibration."""
WAYS = {f"L{p}, {'global' if across else 'uniform'}": (p, across) for p in (1, 2) for across in (False, True)}


def pruned_by_peer(model: nn.Module, images: Tensor, rate: float, norm: int, across: bool) -> nn.Module:
    """The largest network of the peer that has at most a fraction of the MACs, with its own slices of the weights.

    Args:
        model: the dense network.
        images: (N, C, H, W), what it reads.
        rate: of the dense MACs.
        norm: 1 or 2.
        across: whether one threshold holds for all groups (`global_pruning`).
    """
    heads = list(find_coupling(model, images[:2]).whole)  # the peer does not find them by itself
    most, best = rate * macs_of(model, images), None
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        ratio = (low + high) / 2
        found = _pruned(model, images, ratio, norm, across, heads)
        if macs_of(found, images) <= most:
            high, best = ratio, found
        else:
            low = ratio
    assert best is not None  # at a ratio of nearly 1 everything goes
    return best.eval()


def _pruned(model: nn.Module, images: Tensor, ratio: float, norm: int, across: bool, heads: list[str]) -> nn.Module:
    network = copy.deepcopy(model)
    pruner = tp.pruner.BasePruner(
        network,
        images[:1],
        importance=tp.importance.GroupMagnitudeImportance(p=norm),
        global_pruning=across,
        pruning_ratio=ratio,
        max_pruning_ratio=0.95,  # without it, whole layers go
        ignored_layers=[network.get_submodule(layer) for layer in heads],
    )
    pruner.step()
    return network


def recalibrated(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy whose batch norms have the statistics of `images`, each batch alike."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        update_bn(images.split(BATCH), copied)
    return copied.eval()


@torch.no_grad()
def macs_of(model: nn.Module, images: Tensor) -> int:
    """Multiply-accumulates for one image, by PyTorch's counter."""
    with FlopCounterMode(display=False) as counter:
        model(images[:1])
    return int(counter.get_total_flops()) // 2
