"""Batch-norm statistics corrected by their change.

The calibration items are rarely what the network was trained on, so their averages must not replace its statistics:
a network whose batch norms are recalibrated on other items is another network, pruned or not. What pruning changes can
be measured on any items. With m and v the moments of a norm's inputs over the calibration items::

    mean' = mean + (m_pruned - m_dense)        variance' = variance * v_pruned / v_dense

Nothing pruned gives the network's own statistics back. On the training set itself, m_dense is the mean and v_dense the
variance, and this is BN recalibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.modes import BatchNorm

GUARD = 1e-3
"""Part of the network's own variance that is added to both variances of a ratio, so that it stays finite."""
MOST = 100.0
"""Factor by which a variance may change at the most."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the inputs of one batch norm.

    Attributes:
        count: values of a channel that were seen.
        mean: (C,) float64.
        variance: (C,) float64, biased.
    """

    count: int
    mean: Tensor
    variance: Tensor

    def __add__(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub and LeVeque, 1983)."""
        count = self.count + other.count
        part, apart = other.count / count, other.mean - self.mean
        variance = (1 - part) * self.variance + part * other.variance + part * (1 - part) * apart.square()
        return Moments(count, self.mean + part * apart, variance)

    def rows(self, kept: Tensor) -> Moments:
        """Of the channels `kept` (K,) int64 alone."""
        return Moments(self.count, self.mean[kept], self.variance[kept])


NormMoments = Mapping[str, tuple[Moments, ...]]
"""By batch norm: its moments over the first call, the first two, and so on. A norm is called once for each batch, and
more often where the network uses it in several places."""


def corrected_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The batch norms that keep statistics, by name."""
    return {
        name: module for name, module in model.named_modules()
        if isinstance(module, BatchNorm) and module.running_mean is not None
    }  # fmt: skip


def moments_of(inputs: Tensor) -> Moments:
    """Over items and positions of (N, C, ...)."""
    if inputs.device.type in ("cpu", "cuda"):  # what batch norm itself uses in training; many times faster on a CPU
        exact = torch.promote_types(inputs.dtype, torch.float32)
        own = inputs.new_zeros(2, inputs.shape[1], dtype=exact)
        mean, variance = torch.batch_norm_update_stats(inputs, own[0], own[1], 0.0)
    else:
        variance, mean = torch.var_mean(inputs.float().transpose(0, 1).flatten(1), 1, correction=0)
    return Moments(inputs.numel() // inputs.shape[1], mean.double(), variance.double())


@contextmanager
def recorded(model: nn.Module) -> Iterator[dict[str, tuple[Moments, ...]]]:
    """Within the scope, forward passes of the dense network in evaluation mode are recorded in what it gives."""
    found: dict[str, tuple[Moments, ...]] = {}

    def record(name: str, inputs: Tensor) -> None:
        seen, now = found.get(name, ()), moments_of(inputs)
        found[name] = (*seen, seen[-1] + now if seen else now)

    with ExitStack() as hooks:
        for name, norm in corrected_norms(model).items():
            hook = norm.register_forward_pre_hook(lambda _m, inputs, name=name: record(name, inputs[0]))
            hooks.callback(hook.remove)
        yield found


@dataclass(eq=False)
class _Seen:
    """What one norm has seen.

    Attributes:
        own: the network's own mean and variance, (C,) each.
        moments: over the first calls, as in `NormMoments`.
    """

    own: tuple[Tensor, Tensor]
    moments: list[Moments]


class Correction:
    """Within the scope, forward passes of a pruned network set its batch norms as they reach them.

    The passes must be those that were recorded of the dense network: the same items in the same batches.

    Args:
        model: in evaluation mode; its batch norms hold the dense network's own statistics, and are changed in place.
        dense: what the dense network gave.
        kept: by norm, (K,) int64, channels that stay; norms that are not named keep all.
        before: of earlier passes over other items, which count too.
    """

    def __init__(
        self, model: nn.Module, dense: NormMoments, kept: Mapping[str, Tensor], before: Correction | None = None
    ) -> None:
        self._norms, self._dense, self._kept = corrected_norms(model), dense, kept
        self._names = {module: name for name, module in self._norms.items()}
        self._seen: dict[str, _Seen] = {}
        self._before: dict[str, tuple[Moments, Moments]] = before.total if before else {}
        self._hooks = ExitStack()

    def __enter__(self) -> Correction:
        for name, norm in self._norms.items():
            hook = norm.register_forward_pre_hook(lambda norm, inputs, name=name: self._correct(name, norm, inputs[0]))
            self._hooks.callback(hook.remove)
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.close()

    def again(self, norm: nn.Module) -> None:
        """Forget the last call of `norm`, one of the model's, which is about to be made again."""
        self._seen[self._names[norm]].moments.pop()

    @property
    def total(self) -> dict[str, tuple[Moments, Moments]]:
        """By norm, moments of the pruned network and of the dense one, over all calls."""
        return {name: self._so_far(name) for name in self._seen}

    def _so_far(self, name: str) -> tuple[Moments, Moments]:
        moments = self._seen[name].moments
        pruned, dense = moments[-1], self._dense[name][len(moments) - 1]
        if name in self._kept:
            dense = dense.rows(self._kept[name])
        if name not in self._before:
            return pruned, dense
        return self._before[name][0] + pruned, self._before[name][1] + dense

    def _correct(self, name: str, norm: Any, inputs: Tensor) -> None:
        if name not in self._seen:
            self._seen[name] = _Seen((norm.running_mean.clone(), norm.running_var.clone()), [])
        seen, now = self._seen[name], moments_of(inputs)
        seen.moments.append(seen.moments[-1] + now if seen.moments else now)
        mean, variance = changed(seen.own, *self._so_far(name))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def changed(own: tuple[Tensor, Tensor], pruned: Moments, dense: Moments) -> tuple[Tensor, Tensor]:
    """A norm's mean and variance (C,) float64, from its own ones and what pruning changed.

    What is not finite counts as no change; the outputs of such a candidate are not finite, and its score says so.
    """
    mean, variance = own[0].double(), own[1].double()
    guard = GUARD * variance + torch.finfo(torch.float32).tiny
    ratio = (pruned.variance + guard) / (dense.variance + guard)
    moved = torch.nan_to_num(pruned.mean - dense.mean, 0.0, 0.0, 0.0)
    return mean + moved, variance * torch.nan_to_num(ratio, 1.0, 1.0, 1.0).clamp(1 / MOST, MOST)
