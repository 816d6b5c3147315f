"""One pass over the calibration items: what every consumer reads, as means and second moments.

With few items for its features (a classifier behind global pooling) a Gram matrix fits those items and no others: any
half of the channels seems to explain the other half. So it gets a ridge, as large as items that were held out want it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.layout import Consumer, Coupling
from mendsearch.holdout import arrange
from mendsearch.modes import evaluating, to_network

LEAST_ROWS, ROWS_PER_FEATURE = 65536, 64
"""Rows from which a Gram matrix is summed: at least the first, and the second times its features; more add nothing."""
MAX_FEATURES = 2048
"""Consumers that read more features than this (a large flatten) are left out: they are not reconstructed, and channels
that no other consumer reads are ranked by `l1`. Greedy ranking takes time in the cube of it."""


RIDGES = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridges to choose from, as fractions of the mean variance."""
LEAST = 1e-6
"""Ridge in addition, for inputs that repeat."""


@dataclass(frozen=True)
class InputStatistics:
    """Of the inputs of one consumer, over items and positions.

    Attributes:
        mean: (C,) float64.
        covariance: (C, C) float64, E[(x - mean)(x - mean)ᵀ], and the ridge that held-out items ask for.
        sensitivity: (C, C) float64, S in the divergence ½ δᵀ S δ of the network's outputs that an error δ of the inputs
            causes, summed over positions; None where it is not known.
    """

    mean: Tensor
    covariance: Tensor
    sensitivity: Tensor | None = None

    def gram(self, *, centred: bool) -> Tensor:
        """(C, C) float64, the input Gram matrix; `centred` takes the mean out, as a constant input channel would."""
        return self.covariance if centred else self.covariance + torch.outer(self.mean, self.mean)


@torch.no_grad()
def input_statistics(
    model: nn.Module,
    coupling: Coupling,
    inputs: BatchLike,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
    groups: Tensor | None = None,
) -> dict[str, InputStatistics]:
    """Means and Gram matrices of the inputs of every consumer, in evaluation mode.

    A 1x1 convolution is fed the positions that its stride leaves; any other layer all positions, padding left out.

    Args:
        model: the dense network; not changed.
        coupling: names the consumers.
        inputs: of N items.
        batch_size: items a forward pass.
        on_batch: called after each pass.
        groups: (N,) int64, which items belong together; None where each is on its own.
    """
    inputs = Batch.of(inputs)
    order, fitted = arrange(torch.arange(len(inputs)) if groups is None else groups, len(inputs))
    sums: dict[str, list[_Sums]] = {}
    hooks, running = [], 0

    def take(name: str, module: nn.Module, x: Tensor) -> None:
        features = _features(module, x)
        features = features if features.dtype == torch.float64 else features.float()
        features = features[:: _step(features, running, len(inputs))]
        sums[name][-1].add(features)

    for consumer in coupling.consumers:
        if len(consumer.inputs.group) * _expansion(model, consumer.layer) <= MAX_FEATURES:
            module, sums[consumer.layer] = model.get_submodule(consumer.layer), []
            hooks.append(module.register_forward_pre_hook(lambda m, i, name=consumer.layer: take(name, m, i[0])))
    try:
        with evaluating(model):
            for part in (order[:fitted], order[fitted:]):
                for found in sums.values():
                    found.append(_Sums(found[0].shift if found else None))
                for batch in part.split(batch_size):
                    running = len(batch)
                    if running:
                        to_network(inputs[batch], model).call(model)
                        on_batch()
    finally:
        for hook in hooks:
            hook.remove()
    weights = {consumer.layer: (consumer, model.get_submodule(consumer.layer)) for consumer in coupling.consumers}
    return {name: _statistics(*weights[name], *found) for name, found in sums.items() if found[0].count}


class _Sums:
    """First and second moments of features about a shift, so that single precision is enough for channels that hardly
    vary (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983).

    Args:
        shift: (C,), the mean of the first features that are added where it is None.
    """

    def __init__(self, shift: Tensor | None = None) -> None:
        self.shift, self.count = shift, 0
        self.first: Tensor | float = 0.0
        self.second: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Add (rows, C) float32."""
        if self.shift is None:
            self.shift = features.mean(0)
        features = features - self.shift
        self.first = self.first + features.sum(0).double()
        self.second = self.second + (features.T @ features).double()
        self.count += len(features)

    def __add__(self, other: _Sums) -> _Sums:
        both = _Sums(self.shift)
        both.first, both.second = self.first + other.first, self.second + other.second
        both.count = self.count + other.count
        return both

    def moments(self) -> InputStatistics:
        """Mean and covariance."""
        assert self.shift is not None
        moved = self.first / self.count
        assert isinstance(moved, Tensor)
        return InputStatistics(self.shift.double() + moved, self.second / self.count - torch.outer(moved, moved))


def _statistics(consumer: Consumer, module: nn.Module, fitted: _Sums, held: _Sums) -> InputStatistics:
    found = (fitted + held).moments()
    if not held.count:
        return found
    ridge = _ridge(consumer, module, fitted.moments(), held.moments())
    unit = torch.eye(len(found.mean)).to(found.covariance)
    return InputStatistics(found.mean, found.covariance + ridge * found.covariance.diagonal().mean() * unit)


def _ridge(consumer: Consumer, module: nn.Module, fitted: InputStatistics, held: InputStatistics) -> float:
    """The ridge with which half of the inputs, drawn at random, stand in best for the other half on held-out items.

    With x_R ≈ B x_S fitted to some items, the error on the others is tr(W_R [I, -B] G [I, -B]ᵀ W_Rᵀ).
    """
    order = torch.randperm(len(fitted.mean), generator=torch.Generator().manual_seed(0)).to(fitted.mean.device)
    half = len(order) // 2
    if not half:
        return 0.0
    centred = consumer.absorbs_shift
    seen = fitted.gram(centred=centred)[order][:, order]
    apart = held.mean - fitted.mean
    unseen = (held.covariance + torch.outer(apart, apart)) if centred else held.gram(centred=False)
    unseen = torch.nan_to_num(unseen[order][:, order], 0.0, 0.0, 0.0)
    outputs = _outputs(module).to(seen)[:, order][:, half:]
    scale, errors = seen.diagonal().mean(), {}
    for ridge in RIDGES:
        unit = torch.eye(half).to(seen)
        factor, failed = torch.linalg.cholesky_ex(seen[:half, :half] + (ridge + LEAST) * scale * unit)
        if not failed:
            pulled = outputs @ torch.cholesky_solve(seen[:half, half:], factor).T
            part = torch.cat([-pulled, outputs], 1)
            errors[ridge] = float(((part @ unseen) * part).sum())
    return min(errors, key=lambda ridge: errors[ridge]) if errors else RIDGES[-1]


def _step(features: Tensor, batch: int, items: int) -> int:
    """Every how many rows one is taken, so that all items together give enough of them.

    It shares no divisor with the positions of an item, so that all of them take part.
    """
    positions = max(1, len(features) // batch)
    wanted = max(LEAST_ROWS, ROWS_PER_FEATURE * features.shape[1])
    step = max(1, positions * items // wanted)
    while math.gcd(step, positions) > 1:
        step -= 1
    return step


def _outputs(module: Any) -> Tensor:
    """(rows, C) of weights on the C inputs, a row for each output and kernel position; the unit for conv groups."""
    weight: Tensor = module.weight.detach()
    groups = int(getattr(module, "groups", 1))
    if groups > 1:
        return torch.eye(groups * weight.shape[1])
    return weight.flatten(2).movedim(1, 2).flatten(0, 1) if weight.dim() > 2 else weight


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
