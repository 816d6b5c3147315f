"""One pass over the calibration images: what every consumer reads, as means and second moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mendsearch.coupling.layout import Coupling
from mendsearch.modes import evaluating, to_network

LEAST_ROWS, ROWS_PER_FEATURE = 65536, 64
"""Rows from which a Gram matrix is summed: at least the first, and the second times its features; more add nothing."""
MAX_FEATURES = 2048
"""Consumers that read more features than this (a large flatten) are left out: they are not reconstructed, and channels
that no other consumer reads are ranked by `l1`. Greedy ranking takes time in the cube of it."""


@dataclass(frozen=True)
class InputStatistics:
    """Of the inputs of one consumer, over images and positions.

    Attributes:
        mean: (C,) float64.
        covariance: (C, C) float64, E[(x - mean)(x - mean)ᵀ].
    """

    mean: Tensor
    covariance: Tensor

    def gram(self, *, centred: bool) -> Tensor:
        """(C, C) float64, the input Gram matrix; `centred` takes the mean out, as a constant input channel would."""
        return self.covariance if centred else self.covariance + torch.outer(self.mean, self.mean)


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
    Products are summed about the mean of the first batch, so that single precision is enough for channels that hardly
    vary (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983).

    Args:
        model: the dense network; not changed.
        coupling: names the consumers.
        images: (N, C, H, W) float32.
        batch_size: images a forward pass.
        on_batch: called after each pass.
    """
    sums: dict[str, tuple[Tensor, Tensor, Tensor, int]] = {}
    hooks = []

    def take(name: str, module: nn.Module, x: Tensor) -> None:
        features = _features(module, x)
        features = features if features.dtype == torch.float64 else features.float()
        features = features[:: _step(features, len(x), len(images))]
        shift, first, second, count = sums.get(name) or (features.mean(0), 0.0, 0.0, 0)
        features = features - shift
        sums[name] = (
            shift,
            first + features.sum(0).double(),
            second + (features.T @ features).double(),
            count + len(features),
        )

    for consumer in coupling.consumers:
        if len(consumer.inputs.group) * _expansion(model, consumer.layer) <= MAX_FEATURES:
            module = model.get_submodule(consumer.layer)
            hooks.append(module.register_forward_pre_hook(lambda m, i, name=consumer.layer: take(name, m, i[0])))
    try:
        with evaluating(model):
            for batch in images.split(batch_size):
                model(to_network(batch, model))
                on_batch()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _moments(*parts) for name, parts in sums.items()}


def _step(features: Tensor, batch: int, images: int) -> int:
    """Every how many rows one is taken, so that all images together give enough of them.

    It shares no divisor with the positions of an image, so that all of them take part.
    """
    positions = len(features) // batch
    wanted = max(LEAST_ROWS, ROWS_PER_FEATURE * features.shape[1])
    step = max(1, positions * images // wanted)
    while math.gcd(step, positions) > 1:
        step -= 1
    return step


def _moments(shift: Tensor, first: Tensor, second: Tensor, count: int) -> InputStatistics:
    """Mean and covariance from sums about `shift`."""
    moved = first / count
    return InputStatistics(shift.double() + moved, second / count - torch.outer(moved, moved))


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
