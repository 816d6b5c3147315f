"""The weights of any candidate before fine-tuning: slices of the dense network, made good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter

import torch
from torch import Tensor, nn

from mendsearch.config import ReconstructionName
from mendsearch.coupling.layout import Consumer, Coupling, Ints, Layout
from mendsearch.coupling.slicing import Slicer
from mendsearch.modes import BatchNorm, averaging, fast_passes
from mendsearch.ranking.base import FilterRanking
from mendsearch.ranking.statistics import InputStatistics
from mendsearch.reconstruction.channels import Reconstruction, prepare
from mendsearch.reconstruction.sequence import Fit
from mendsearch.reconstruction.targets import Target, affordable, dense_targets

TRIAL_IMAGES = 256
"""Calibration images from which a trial reconstructs in sequence; the best few and the controls get all of them."""
TRIAL_ROWS, REFINED_ROWS = 8, 64
"""Rows of a layer's regression for each of its input features."""
BATCH = 256
"""Images of one forward pass, where passes can be cut."""


@dataclass
class Timings:
    """Seconds spent by step, summed over candidates."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("slice", "reconstruct", "recalibrate", "validate"), 0.0)
    )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time within the scope to `name`."""
        started = perf_counter()
        yield
        self.seconds[name] += perf_counter() - started


class Weights:
    """State dicts of the candidates of one search.

    Args:
        model: the dense network; never changed.
        coupling: its coupling groups.
        ranking: of their channels.
        statistics: of the inputs of the consumers.
        calibration: (N, C, H, W) float32 images, without labels.
        kind: `sequence` fits layer after layer to the dense network's outputs, in one forward pass that sets the batch
            norms too; `channels` folds removed inputs into the kept ones by the dense statistics, then recalibrates the
            batch norms; `none` only recalibrates.
    """

    def __init__(
        self,
        model: nn.Module,
        coupling: Coupling,
        ranking: FilterRanking,
        statistics: Mapping[str, InputStatistics],
        calibration: Tensor,
        kind: ReconstructionName,
    ) -> None:
        self.model, self.coupling, self.kind, self.timings = model, coupling, kind, Timings()
        self.slicer = Slicer(model, coupling, ranking.orders)
        self.device = next(model.parameters()).device
        self._calibration = placed(calibration, self.device)
        self._refined: dict[tuple[int, ...], dict[str, Tensor]] = {}
        self._norms = [
            name for name, module in model.named_modules()
            if isinstance(module, BatchNorm) and module.track_running_stats
        ]  # fmt: skip
        self._rebuilt: list[tuple[Consumer, Reconstruction]] = []
        if kind != "none":
            for consumer in coupling.consumers:
                if consumer.conv_groups == 1 and consumer.layer in statistics:
                    weight = self.slicer.dense[f"{consumer.layer}.weight"]
                    prepared = prepare(consumer, weight, statistics[consumer.layer], ranking.orders)
                    self._rebuilt.append((consumer, prepared))

    @property
    def version(self) -> tuple[object, ...]:
        """Differs where the same candidate would get other weights."""
        return self.kind, TRIAL_IMAGES, TRIAL_ROWS, BATCH, len(self._calibration)

    @torch.no_grad()
    def of(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate (G,) int64, as a trial scores it."""
        if self.kind == "sequence":
            with fast_passes(self.device):
                return self._in_sequence(counts, *self._trial_targets)
        state, _ = self._folded(counts)
        with (
            self.timings.step("recalibrate"), fast_passes(self.device), self.slicer.sized(state), averaging(self.model)
        ):  # fmt: skip
            for images in even_batches(self._calibration, BATCH):
                self.slicer.forward(state, images)
        return state

    @torch.no_grad()
    def refined(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate at its best, from which fine-tuning starts; made once for each candidate.

        All the refined states stay in memory: they are for the few best and the controls.
        """
        key = tuple(counts)
        if key not in self._refined:
            sequence = self.kind == "sequence"
            self._refined[key] = self._in_sequence(counts, *self._all_targets) if sequence else self.of(counts)
        return self._refined[key]

    @cached_property
    def _trial_targets(self) -> tuple[dict[str, Target], Tensor]:
        return self._targets(TRIAL_IMAGES, TRIAL_ROWS)

    @cached_property
    def _all_targets(self) -> tuple[dict[str, Target], Tensor]:
        return self._targets(len(self._calibration), REFINED_ROWS)

    def _targets(self, count: int, rows_per_feature: int) -> tuple[dict[str, Target], Tensor]:
        images = self._calibration[: min(count, affordable(self.model, self._calibration))]
        with torch.autocast(self.device.type, enabled=False):
            return dense_targets(self.model, images, rows_per_feature, BATCH), images

    def _in_sequence(self, counts: Ints, targets: Mapping[str, Target], images: Tensor) -> dict[str, Tensor]:
        state, kept = self._folded(counts)
        with self.timings.step("reconstruct"):
            state = {name: tensor.clone(memory_format=_format(tensor)) for name, tensor in state.items()}
            rows = {
                name.removesuffix(".weight"): kept[layout]
                for name, axes in self.coupling.axes.items()
                for dim, layout in axes
                if dim == 0 and name.endswith(".weight")
            }
            with self.slicer.sized(state):
                Fit(targets, rows).run(self.model, lambda: self.slicer.forward(state, images))
        return state

    def _folded(self, counts: Ints) -> tuple[dict[str, Tensor], dict[Layout, Tensor]]:
        """Sliced, removed inputs folded into the kept ones, batch norms empty; and the kept indices of every layout."""
        with self.timings.step("slice"):
            kept = self.slicer.kept(counts)
            state = self.slicer.take(kept)
        with self.timings.step("reconstruct"):
            for consumer, reconstruction in self._rebuilt:
                self._fold(state, consumer, reconstruction, kept)
        for name in self._norms:
            for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                state[f"{name}.{buffer}"] = torch.zeros_like(state[f"{name}.{buffer}"])
        return state, kept

    def _fold(
        self, state: dict[str, Tensor], consumer: Consumer, reconstruction: Reconstruction, kept: dict[Layout, Tensor]
    ) -> None:
        name, bias = f"{consumer.layer}.weight", f"{consumer.layer}.bias"
        outputs = [layout for dim, layout in self.coupling.axes[name] if dim == 0]
        rows = kept[outputs[0]] if outputs else None
        weight, shift = reconstruction.rebuild(kept[consumer.inputs], rows)
        state[name] = weight.movedim(1, 2).reshape(state[name].shape).to(state[name].dtype).contiguous()
        if bias in state:
            state[bias] = state[bias] + shift


def placed(images: Tensor, device: torch.device) -> Tensor:
    """Images (N, C, H, W) on the device, channels last, which convolutions are fastest with."""
    return images.to(device, memory_format=_format(images))


def _format(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format


def even_batches(images: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Batches whose sizes differ by at most one, so that the plain average over them is the average over images."""
    return torch.tensor_split(images, max(1, -(-len(images) // batch_size)))
