"""The weights of any candidate before fine-tuning: slices of the dense network, made good."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.config import ReconstructionName
from mendsearch.coupling.copying import dtype_of
from mendsearch.coupling.layout import Consumer, Coupling, Ints, Layout
from mendsearch.coupling.slicing import Slicer
from mendsearch.holdout import arrange
from mendsearch.mending.timings import Timings
from mendsearch.modes import bears_fast_passes, evaluating, fast_passes
from mendsearch.ranking.base import FilterRanking
from mendsearch.ranking.statistics import InputStatistics
from mendsearch.reconstruction.channels import Reconstruction, prepare
from mendsearch.reconstruction.norms import Correction, NormMoments, recorded
from mendsearch.reconstruction.rows import items_needed
from mendsearch.reconstruction.sequence import Fit
from mendsearch.reconstruction.targets import Dense, affordable, dense_targets

TRIAL_IMAGES = 512
"""Calibration images from which a trial reconstructs in sequence at the least; the best few and the controls get all
of them. From 256, a search finds structures that fit these images and not others (docs/results/ladder.md)."""
TRIAL_ROWS, REFINED_ROWS = 8, 64
"""Rows of a layer's regression for each of its input features."""
BATCH = 256
"""Items of one forward pass at most, where passes can be cut."""
VERSION = 4
"""Raised when the same candidate would get other weights."""


@dataclass(frozen=True, eq=False)
class _Reference:
    """What candidates are fitted to in one pass.

    Attributes:
        inputs: of n items, those held out last.
        fitted: how many are not.
        dense: what the dense network does with them.
    """

    inputs: Batch
    fitted: int
    dense: Dense


class Weights:
    """State dicts of the candidates of one search.

    Args:
        model: the dense network; never changed.
        coupling: its coupling groups.
        ranking: of their channels.
        statistics: of the inputs of the consumers.
        calibration: inputs of the calibration items.
        kind: `sequence` fits layer after layer to the dense network's outputs, in one forward pass that corrects the
            batch norms too; `channels` folds removed inputs into the kept ones by the dense statistics, then corrects
            the batch norms; `none` only corrects them.
        groups: (N,) int64, which calibration items belong together, such as crops of one photograph; None where each
            is on its own.

    Attributes:
        affordable: items that one forward pass takes within memory.
    """

    def __init__(
        self,
        model: nn.Module,
        coupling: Coupling,
        ranking: FilterRanking,
        statistics: Mapping[str, InputStatistics],
        calibration: BatchLike,
        kind: ReconstructionName,
        groups: Tensor | None = None,
    ) -> None:
        self.model, self.coupling, self.kind, self.timings = model, coupling, kind, Timings()
        self.slicer = Slicer(model, coupling, ranking.orders)
        self.device = next(model.parameters()).device
        calibration = Batch.of(calibration)
        self._groups = torch.arange(len(calibration)) if groups is None else groups
        # in an order of their own, so that items that came sorted are no trouble
        order, self._fitted = arrange(self._groups, len(calibration))
        self._calibration, self._groups = self.placed(calibration[order]), self._groups[order]
        self.affordable = affordable(model, self._calibration)
        self._fast = bears_fast_passes(model, self._calibration[:2])
        self._refined: dict[tuple[int, ...], dict[str, Tensor]] = {}
        self._rebuilt: list[tuple[Consumer, Reconstruction]] = []
        if kind != "none":
            for consumer in coupling.consumers:
                if consumer.conv_groups == 1 and consumer.layer in statistics:
                    weight = self.slicer.dense[f"{consumer.layer}.weight"]
                    prepared = prepare(consumer, weight, statistics[consumer.layer], ranking.orders)
                    self._rebuilt.append((consumer, prepared))

    def fast_passes(self) -> AbstractContextManager[None]:
        """A scope of passes in bfloat16 where device and network bear it."""
        return fast_passes(self.device, dtype_of(self.model)) if self._fast else nullcontext()

    @property
    def version(self) -> tuple[object, ...]:
        """Differs where the same candidate would get other weights."""
        return VERSION, self.kind, TRIAL_IMAGES, TRIAL_ROWS, BATCH, len(self._calibration)

    @torch.no_grad()
    def of(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate (G,) int64, as a trial scores it."""
        with self.fast_passes():
            return self._in_sequence(counts, self._trial) if self.kind == "sequence" else self._corrected(counts)

    @torch.no_grad()
    def refined(self, counts: Ints) -> dict[str, Tensor]:
        """The state dict of a candidate at its best, from which fine-tuning starts; made once for each candidate.

        All the refined states stay in memory: they are for the few best and the controls.
        """
        key = tuple(counts)
        if key not in self._refined:
            sequence = self.kind == "sequence"
            self._refined[key] = self._in_sequence(counts, self._whole) if sequence else self.of(counts)
        return self._refined[key]

    @cached_property
    def trial_items(self) -> int:
        """Calibration items from which a trial reconstructs in sequence."""
        needed = items_needed(self.model, self.coupling, self._calibration, TRIAL_ROWS)
        return min(max(TRIAL_IMAGES, needed), self.affordable, len(self._calibration))

    @cached_property
    def _trial(self) -> list[_Reference]:
        if self.trial_items >= len(self._calibration):
            return self._references(self._calibration, self._fitted, 1, TRIAL_ROWS)
        drawn, fitted = arrange(self._groups, self.trial_items)
        return self._references(self._calibration[drawn], fitted, 1, TRIAL_ROWS)

    @cached_property
    def _whole(self) -> list[_Reference]:
        passes = -(-len(self._calibration) // self.affordable)
        return self._references(self._calibration, self._fitted, passes, REFINED_ROWS)

    def _references(self, inputs: Batch, fitted: int, passes: int, rows_per_feature: int) -> list[_Reference]:
        """Of the dense network, run in the very way in which candidates are, so that rounding is the same."""
        whole, found = self._formatted(self.slicer.slice(self.coupling.widths)), []
        for number in range(passes):
            # every pass gets its share of both parts
            parts = inputs[:fitted][number::passes], inputs[fitted:][number::passes]
            part = self.placed(Batch.cat(parts)) if passes > 1 else self.placed(inputs)
            with self.slicer.sized(whole):
                dense = dense_targets(
                    self.model,
                    lambda part=part: self.slicer.forward(whole, part),  # type: ignore[misc]
                    len(part),
                    rows_per_feature,
                    passes,
                )
            found.append(_Reference(part, len(parts[0]), dense))
        return found

    @cached_property
    def _dense_norms(self) -> NormMoments:
        whole = self._formatted(self.slicer.slice(self.coupling.widths))
        with self.slicer.sized(whole), evaluating(self.model), recorded(self.model) as norms:
            self._passes(whole)
        return norms

    def _passes(self, state: dict[str, Tensor]) -> None:
        most = min(BATCH, self.affordable)
        for part in self._calibration.tensor_split(max(1, -(-len(self._calibration) // most))):
            self.slicer.forward(state, part)

    def _in_sequence(self, counts: Ints, references: list[_Reference]) -> dict[str, Tensor]:
        folded, kept = self._folded(counts)
        with self.timings.step("reconstruct"), self.slicer.sized(folded):
            fit = Fit(self._rows(kept))
            for reference in references:
                state, inputs = self._formatted(folded), reference.inputs
                fit.run(
                    self.model,
                    lambda state=state, inputs=inputs: self.slicer.forward(state, inputs),  # type: ignore[misc]
                    reference.dense,
                    reference.fitted,
                )
        return state

    def _corrected(self, counts: Ints) -> dict[str, Tensor]:
        state, kept = self._folded(counts)
        dense = self._dense_norms
        with self.timings.step("recalibrate"), self.slicer.sized(state), evaluating(self.model):
            state = self._formatted(state)
            with Correction(self.model, dense, self._rows(kept)):
                self._passes(state)
        return state

    def placed(self, inputs: BatchLike) -> Batch:
        """Inputs on the device, images channels last where the network bears it: convolutions are fastest so."""
        form = torch.channels_last if self.coupling.channels_last else torch.contiguous_format
        return Batch.of(inputs).to(self.device, dtype_of(self.model), form)

    def _formatted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies, which may be changed, in the memory format that is fastest."""
        return {name: tensor.clone(memory_format=self._format(tensor)) for name, tensor in state.items()}

    def _format(self, tensor: Tensor) -> torch.memory_format:
        return torch.channels_last if self.coupling.channels_last and tensor.dim() == 4 else torch.contiguous_format

    def _rows(self, kept: dict[Layout, Tensor]) -> dict[str, Tensor]:
        """By module, the output channels or normed channels that stay."""
        return {layer: kept[layout] for layer, layout in self._outputs.items()}

    @cached_property
    def _outputs(self) -> dict[str, Layout]:
        """By module, the layout of its output channels or normed channels, where any may go."""
        found = {}
        for name, axes in self.coupling.axes.items():
            layer, _, key = name.rpartition(".")
            for dim, layout in axes:
                if (key, dim) in self._telling(layer):
                    found[layer] = layout
        return found

    def _telling(self, layer: str) -> tuple[tuple[str, int], ...]:
        """The tensors of a layer, and their dimensions, whose indices are its outputs."""
        module = self.model.get_submodule(layer)
        if not isinstance(module, nn.modules.conv._ConvTransposeNd):
            return ("weight", 0), ("running_mean", 0)
        return (("weight", 1),) if module.groups == 1 else (("bias", 0),)

    def _folded(self, counts: Ints) -> tuple[dict[str, Tensor], dict[Layout, Tensor]]:
        """Sliced, removed inputs folded into the kept ones; and the kept indices of every layout."""
        with self.timings.step("slice"):
            kept = self.slicer.kept(counts)
            state = self.slicer.take(kept)
        with self.timings.step("reconstruct"):
            for consumer, reconstruction in self._rebuilt:
                if len(kept[consumer.inputs]) < len(consumer.inputs.group):
                    self._fold(state, consumer, reconstruction, kept)
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
            state[bias] = (state[bias] + shift).to(state[bias].dtype)
