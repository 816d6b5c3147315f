"""One pass over the calibration images: what every consumer reads, as means and second moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mendsearch.coupling.layout import Coupling
from mendsearch.modes import evaluating

MAX_FEATURES = 2048
"""Consumers that read more features than this (a large flatten) are left out: they are not reconstructed, and channels
that no other consumer reads are ranked by `l1`. Greedy ranking takes time in the cube of it."""


@dataclass(frozen=True)
class InputStatistics:
    """Of the inputs of one consumer, over images and positions.

    Attributes:
        mean: (C,) float64.
        second: (C, C) float64, E[x xᵀ]: the input Gram matrix.
    """

    mean: Tensor
    second: Tensor

    def gram(self, *, centred: bool) -> Tensor:
        """(C, C) float64; `centred` takes the mean out, as a constant input channel would."""
        return self.second - torch.outer(self.mean, self.mean) if centred else self.second


@torch.no_grad()
def input_statistics(
    model: nn.Module,
    coupling: Coupling,
    images: Tensor,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, InputStatistics]:
    """Means and Gram matrices of the inputs of every consumer, in evaluation mode.

    A 1x1 convolution is fed the positions that its stride leaves; any other layer all positions, padding left out.

    Args:
        model: the dense network; not changed.
        coupling: names the consumers.
        images: (N, C, H, W) float32.
        batch_size: images a forward pass.
        on_batch: called after each pass.
    """
    sums: dict[str, tuple[Tensor, Tensor, int]] = {}
    hooks = []

    def take(name: str, module: nn.Module, x: Tensor) -> None:
        features = _features(module, x)
        first, second, count = features.sum(0).double(), (features.T @ features).double(), len(features)
        if name in sums:
            first, second, count = first + sums[name][0], second + sums[name][1], count + sums[name][2]
        sums[name] = (first, second, count)

    for consumer in coupling.consumers:
        if len(consumer.inputs.group) * _expansion(model, consumer.layer) <= MAX_FEATURES:
            module = model.get_submodule(consumer.layer)
            hooks.append(module.register_forward_pre_hook(lambda m, i, name=consumer.layer: take(name, m, i[0])))
    device = next(model.parameters()).device
    try:
        with evaluating(model):
            for batch in images.split(batch_size):
                model(batch.to(device))
                on_batch()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: InputStatistics(first / count, second / count) for name, (first, second, count) in sums.items()}


def _expansion(model: nn.Module, layer: str) -> int:
    """A grouped convolution reads `groups` times the channels that its weight shows."""
    return int(getattr(model.get_submodule(layer), "groups", 1))


def _features(module: nn.Module, x: Tensor) -> Tensor:
    """(positions, C) of an input (N, C, ...) of a convolution or (..., C) of a linear layer."""
    if isinstance(module, nn.Linear):
        return x.reshape(-1, x.shape[-1])
    if isinstance(module, nn.modules.conv._ConvNd) and set(module.kernel_size) == {1}:
        for dim, stride in enumerate(module.stride):
            x = x[(slice(None),) * (dim + 2) + (slice(None, None, stride),)]
    return x.transpose(0, 1).flatten(1).T
