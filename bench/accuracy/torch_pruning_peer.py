"""Torch-Pruning's networks at a budget: by group magnitude or Taylor expansion, in one step or in several."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn
from torch.utils.flop_counter import FlopCounterMode

from mendsearch.coupling.graph import find_coupling

RATIOS = 50
"""Steps of the grid of pruning ratios."""
STEPS = 8
"""Halvings of a step of the grid."""
BATCH = 128
"""Images per pass of the BN recalibration."""


@dataclass(frozen=True)
class Way:
    """How the peer prunes.

    Attributes:
        norm: of a group's weights, 1 or 2; None for the Taylor expansion of the loss, which needs labels.
        across: whether one threshold holds for all groups (`global_pruning`).
        isomorphic: whether only groups of the same form are compared.
        steps: pruning steps to the ratio, each with importances of its own (`iterative_steps`).
        round_to: number that channels are rounded to a multiple of, or None.
    """

    norm: int | None
    across: bool
    isomorphic: bool = False
    steps: int = 1
    round_to: int | None = None


WAYS = {f"L{p}, {'global' if across else 'uniform'}": Way(p, across) for p in (1, 2) for across in (False, True)}


class NoneSoSmall(ValueError):
    """The peer has no network at a fraction of the MACs."""


def pruned_by_peer(model: nn.Module, images: Tensor, rate: float, way: Way, labels: Tensor | None = None) -> nn.Module:
    """The network of the peer's smallest pruning ratio that has at most a fraction of the MACs, with its own weights.

    Above some ratio MACs may rise again, since a group of which all would go stays whole, and networks beyond are poor.
    So the ratio is looked for from below, on a grid, then between two ratios of the grid.

    Args:
        model: the dense network.
        images: (N, C, H, W), what it reads.
        rate: of the dense MACs.
        way: how the peer prunes.
        labels: (N,) int64, classes of the images, for the Taylor expansion.

    Raises:
        NoneSoSmall: no ratio of the grid gives a network with so few MACs.
    """
    heads = list(find_coupling(model, images[:2]).whole)  # the peer does not find them by itself
    most, best = rate * macs_of(model, images), None
    for number in range(1, RATIOS):
        found = _pruned(model, images, number / RATIOS, way, labels, heads)
        if macs_of(found, images) <= most:
            best = found
            break
    if best is None:
        raise NoneSoSmall(f"no pruning ratio gives {rate:.0%} of the MACs")
    low, high = (number - 1) / RATIOS, number / RATIOS
    for _ in range(STEPS):
        ratio = (low + high) / 2
        found = _pruned(model, images, ratio, way, labels, heads)
        if macs_of(found, images) <= most:
            high, best = ratio, found
        else:
            low = ratio
    return best.eval()


def _pruned(
    model: nn.Module, images: Tensor, ratio: float, way: Way, labels: Tensor | None, heads: list[str]
) -> nn.Module:
    network = copy.deepcopy(model)
    taylor, magnitude = tp.importance.GroupTaylorImportance, tp.importance.GroupMagnitudeImportance
    pruner = tp.pruner.BasePruner(
        network,
        images[:1],
        importance=taylor() if way.norm is None else magnitude(p=way.norm),
        global_pruning=way.across,
        isomorphic=way.isomorphic,
        pruning_ratio=ratio,
        iterative_steps=way.steps,
        round_to=way.round_to,
        max_pruning_ratio=0.95,  # without it, whole layers go
        ignored_layers=[network.get_submodule(layer) for layer in heads],
    )
    for _ in range(way.steps):
        if way.norm is None:
            assert labels is not None
            network.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
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
