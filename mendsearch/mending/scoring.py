"""The score of a candidate, before any fine-tuning: slice, reconstruct, recalibrate, validate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from mendsearch.coupling.layout import Consumer, Coupling, Ints
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.modes import evaluating
from mendsearch.ranking.base import FilterRanking
from mendsearch.reconstruction import Reconstruction, prepare
from mendsearch.statistics import InputStatistics

BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass
class Timings:
    """Seconds spent by step, summed over candidates."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("slice", "reconstruct", "recalibrate", "validate"), 0.0)
    )
    candidates: int = 0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time within the scope to `name`."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


VERSION = 1
"""Raised when the same candidate would get another score."""


class Scorer:
    """Scores candidates of one search.

    The score is minus the mean cross-entropy (nats) on the validation images: against their labels, or without labels
    against the dense network's own probabilities. It is at most 0; higher is better.

    Args:
        model: the dense network; never changed.
        coupling: its coupling groups.
        ranking: of their channels.
        statistics: of the inputs of the consumers.
        calibration: (N, C, H, W) float32 images for BN recalibration.
        validation: (N, C, H, W) float32 images.
        targets: (N, num_classes) float32 probabilities, or (N,) int64 labels.
        reconstruction: whether consumers are rebuilt by least squares.
        batch_size: images a forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        coupling: Coupling,
        ranking: FilterRanking,
        statistics: Mapping[str, InputStatistics],
        *,
        calibration: Tensor,
        validation: Tensor,
        targets: Tensor,
        reconstruction: bool = True,
        batch_size: int = 512,
    ) -> None:
        self.model, self.coupling, self.timings = model, coupling, Timings()
        self.version = (VERSION, reconstruction, len(calibration), len(validation), batch_size)
        self.slicer = Slicer(model, coupling, ranking.orders)
        device = next(model.parameters()).device
        self._calibration = even_batches(calibration.to(device), batch_size)
        self._validation = validation.to(device).split(batch_size)
        self._targets = targets.to(device).split(batch_size)
        self._count = len(validation)
        self._batch_norms = [
            (name, module)
            for name, module in model.named_modules()
            if isinstance(module, BatchNorm) and module.track_running_stats
        ]
        self._rebuilt: list[tuple[Consumer, Reconstruction]] = []
        if reconstruction:
            self._rebuilt = [
                (
                    consumer,
                    prepare(
                        consumer,
                        self.slicer.dense[f"{consumer.layer}.weight"],
                        statistics[consumer.layer],
                        ranking.orders,
                    ),
                )
                for consumer in coupling.consumers
                if consumer.conv_groups == 1 and consumer.layer in statistics
            ]

    @torch.no_grad()
    def score(self, counts: Ints) -> float:
        """The score of a candidate (G,) int64: at most 0; minus infinity where its outputs are not finite."""
        return self._evaluate(self.weights(counts))

    @torch.no_grad()
    def dense_score(self) -> float:
        """The score of the dense network as it is."""
        return self._evaluate(dict(self.slicer.dense))

    @torch.no_grad()
    def weights(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate: sliced, reconstructed, its batch norms recalibrated."""
        with self.timings.step("slice"):
            kept = self.slicer.kept(counts)
            state = self.slicer.take(kept)
        with self.timings.step("reconstruct"):
            for consumer, reconstruction in self._rebuilt:
                self._rebuild(state, consumer, reconstruction, kept)
        with self.timings.step("recalibrate"):
            self._recalibrate(state)
        self.timings.candidates += 1
        return state

    def build(self, counts: Ints) -> nn.Module:
        """The candidate as a plain dense network, with the weights that were scored."""
        return build_pruned(self.model, self.weights(counts)).eval()

    def _rebuild(
        self, state: dict[str, Tensor], consumer: Consumer, reconstruction: Reconstruction, kept: dict[int, Tensor]
    ) -> None:
        name = f"{consumer.layer}.weight"
        outputs = [layout for dim, layout in self.coupling.axes[name] if dim == 0]
        rows = kept[id(outputs[0])] if outputs else None
        weight, shift = reconstruction.rebuild(kept[id(consumer.inputs)], rows)
        state[name] = weight.movedim(1, 2).reshape(state[name].shape).to(state[name].dtype)
        bias = f"{consumer.layer}.bias"
        if bias in state:
            state[bias] = state[bias] + shift

    def _recalibrate(self, state: dict[str, Tensor]) -> None:
        if not self._batch_norms:
            return
        for name, _ in self._batch_norms:
            for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                state[f"{name}.{buffer}"] = torch.zeros_like(state[f"{name}.{buffer}"])
        with self._averaging(), self.slicer.sized(state):
            for images in self._calibration:
                self.slicer.forward(state, images)

    @contextmanager
    def _averaging(self) -> Iterator[None]:
        """Batch norms keep the plain average over batches; everything else stays in evaluation mode."""
        momenta = [(module, module.momentum) for _, module in self._batch_norms]
        with evaluating(self.model):
            try:
                for _, module in self._batch_norms:
                    module.training, module.momentum = True, None
                yield
            finally:
                for module, momentum in momenta:
                    module.momentum = momentum

    def _evaluate(self, state: dict[str, Tensor]) -> float:
        with self.timings.step("validate"), self.slicer.sized(state), evaluating(self.model):
            losses = [
                functional.cross_entropy(self.slicer.forward(state, images), targets, reduction="sum")
                for images, targets in zip(self._validation, self._targets, strict=True)
            ]
            loss = float(torch.stack(losses).sum()) / self._count
            return -loss if math.isfinite(loss) else -math.inf


def even_batches(images: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Batches whose sizes differ by at most one, so that the plain average over them is the average over images."""
    return torch.tensor_split(images, max(1, -(-len(images) // batch_size)))
