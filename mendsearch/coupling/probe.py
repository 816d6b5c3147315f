"""The law, checked before any work: a sliced network equals the dense one with the removed channels silenced.

It is checked after every module, so that what breaks it is found where it happens. A size that is written into a
forward pass makes the sliced network fail; the operands of what fails say which channels must stay.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.coupling.nesting import tensors_in
from mendsearch.coupling.noise import noisy, nudged
from mendsearch.coupling.samples import Sample, outputs_noted
from mendsearch.coupling.silencing import Silenced
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.trace import Trace
from mendsearch.coupling.tracing import Tracer, own_tensors
from mendsearch.coupling.units import Traced
from mendsearch.modes import evaluating

logger = logging.getLogger(__name__)
HALF = 0.35, 0.65
"""Shares of their channels that coupling groups keep in the candidate for which the law is checked."""


@dataclass(frozen=True, eq=False)
class Fault:
    """Where the law does not hold.

    Attributes:
        units: (n,) int64, units that must stay for it to hold.
        reason: why they must, with the module.
        single: names of coupling groups that need not stay: it holds if they keep two channels or more.
    """

    units: Ints
    reason: str
    single: tuple[str, ...] = ()


@torch.no_grad()
def find_fault(model: nn.Module, coupling: Coupling, trace: Trace, inputs: BatchLike) -> Fault | None:
    """The first fault; None where the least candidate runs, and for one of about half the channels the law holds.

    Args:
        model: the dense network; not changed.
        coupling: its coupling groups.
        trace: trace from which the groups were made.
        inputs: of the network, two items.
    """
    inputs, generator = Batch.of(inputs), np.random.default_rng(0)
    orders = [generator.permutation(width) for width in coupling.widths]
    with evaluating(model):
        slicer = Slicer(model, coupling, orders, noisy(model))
        kept = generator.uniform(*HALF, len(coupling.widths))  # not one share, at which sizes may agree by chance
        half = _Check(slicer, trace, np.ceil(kept * coupling.widths).astype(np.int64), inputs)
        least = _Check(slicer, trace, coupling.steps(), inputs)
        check, fault = half, half.failure()
        if fault is None:
            check, fault = least, least.failure()
            if fault is not None and (names := least.unbearable(fault)):
                return replace(fault, single=names)
        if fault is None:  # last, as it takes the longest
            check, fault = half, half.difference()
        if fault is None or len(fault.units) < len(check.held()):
            return fault
        return _narrowed(check, fault)


def _narrowed(failed: _Check, fault: Fault) -> Fault:
    """Where no units are near a fault: halve the coupling groups that lose channels until one alone is at fault."""
    slicer, trace, inputs = failed.slicer, failed.trace, failed.inputs
    widths, suspects = slicer.coupling.widths, np.arange(len(slicer.coupling.widths))
    while len(suspects) > 1:
        for part in np.array_split(suspects, 2):
            counts = widths.copy()
            counts[part] = failed.counts[part]
            check = _Check(slicer, trace, counts, inputs)
            if check.failure() or check.difference():
                suspects = part
                break
        else:  # only together
            return Fault(check.units_of(suspects), fault.reason)
    return Fault(_Check(slicer, trace, widths, inputs).units_of(suspects), fault.reason)


class _Check:
    def __init__(self, slicer: Slicer, trace: Trace, counts: Ints, inputs: Batch) -> None:
        self.slicer, self.trace, self.counts, self.inputs = slicer, trace, counts, inputs
        self.model, self.coupling = slicer.model, slicer.coupling
        self.kept = slicer.kept(counts)
        self.outputs: list[tuple[str, list[Sample]]] = []
        self.component, _ = trace.units.components()
        removed = np.zeros(int(self.component.max()) + 1, dtype=bool)
        self.group = np.full(len(removed), -1, dtype=np.int64)
        for name, axes in self.coupling.axes.items():
            for dim, layout in axes:
                components = self.component[trace.places[name, dim]]
                gone = np.ones(len(components), dtype=bool)
                gone[self.kept[layout].cpu().numpy()] = False
                removed[components[gone]] = True
                self.group[components[layout.group >= 0]] = layout.group[layout.group >= 0]
        self.removed = removed[self.component]

    def failure(self) -> Fault | None:
        """What makes the forward pass fail."""
        state = self.slicer.take(self.kept)
        try:
            with self.slicer.sized(state), outputs_noted(self.model, self.outputs):
                self.slicer.forward(state, self.inputs)
        except Exception as error:  # a forward may raise anything
            return self._failure(state, f"{type(error).__name__}: {error}".split("\n")[0])
        return None

    def difference(self) -> Fault | None:
        """Run the silenced network, and hold what each module gives against the sliced one, which has run."""
        sliced = self.outputs
        found: dict[int, Fault] = {}  # by number of the output
        at, astray = 0, False

        def hold(name: str, outputs: Any) -> None:
            nonlocal at, astray
            if astray:
                return
            if at >= len(sliced) or sliced[at][0] != name:
                astray = True
                found[at] = Fault(self._blamed([]), f"the forward pass goes another way once channels go, in `{name}`")
            elif not self._agree(silenced, outputs, sliced[at][1]):
                units = self._blamed([silenced.inputs.get(name, []), _traced(silenced, outputs)])
                what = "slices do not give what the dense network gives without the channels"
                found[at] = Fault(units, f"{what}, in {_where(name)}")
            at += 1

        silenced = Silenced(self.model, self.trace, self.removed, dict(self.slicer.dense), hold)
        silenced.give(self.inputs)
        try:
            with silenced.following():
                self.slicer.forward(dict(self.slicer.dense), self.inputs)
        except Exception as error:  # a forward may raise anything, functional transforms at what is done between
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            return Fault(self.held(), f"the dense network cannot be run with channels silenced: {reason}")
        steady = self._steady() if found else []
        return next((fault for at, fault in found.items() if at >= len(steady) or steady[at]), None)

    def _steady(self) -> list[bool]:
        """Of every output of a module, whether rounding leaves it as it is: not, say, which boxes a detector keeps."""
        generator = torch.Generator().manual_seed(0)
        again: list[tuple[str, list[Sample]]] = []
        state = {name: nudged(tensor, generator) for name, tensor in self.slicer.take(self.kept).items()}
        try:
            with self.slicer.sized(state), outputs_noted(self.model, again):
                self.slicer.forward(state, self.inputs)
        except Exception as error:  # a forward may raise anything
            logger.info("the forward pass fails by rounding: %s", error)
        return [
            name == other and len(before) == len(after) and all(map(Sample.close_to, before, after))
            for (name, before), (other, after) in zip(self.outputs, again, strict=False)
        ]

    def _agree(self, silenced: Silenced, outputs: Any, sliced: list[Sample]) -> bool:
        dense = list(tensors_in(outputs))
        if len(dense) != len(sliced):
            return False
        for whole, part in zip(dense, sliced, strict=True):
            for dim, units in silenced.axes(whole).items():
                whole = whole.index_select(dim, silenced.kept(units).to(whole.device))
            if not Sample.of(whole).close_to(part):
                return False
        return True

    def _failure(self, state: dict[str, Tensor], reason: str) -> Fault:
        """Run the sliced network once more, with units, to see what the operator that fails was given."""
        places = {}
        for (name, dim), units in self.trace.places.items():
            layout = dict(self.coupling.axes.get(name, ())).get(dim)
            places[name, dim] = units if layout is None else units[self.kept[layout].cpu().numpy()]
        tracer = Tracer(self.model, self.trace.fork(places), {name: state[name] for name in own_tensors(self.model)})
        tracer.give(self.inputs)
        with contextlib.suppress(Exception), self.slicer.sized(state), tracer.following():
            self.slicer.forward(state, self.inputs)
        refused = _traced(tracer, tracer.given.refused)  # where it is not an operator that raised
        chain = [*tracer.failed, refused, *(tracer.inputs.get(name, []) for name in reversed(tracer.modules))]
        return Fault(
            self._blamed(chain), f"the forward pass fails once channels go, in {_where(tracer.module)}: {reason}"
        )

    def _blamed(self, chain: list[list[Traced]]) -> Ints:
        """All units of the coupling groups that come first in the chain; of every group where there are none."""
        for traced in chain:
            axes = [units for found in traced for units in found.axes.values()]
            units = np.concatenate(axes) if axes else np.zeros(0, dtype=np.int64)
            groups = np.unique(self.group[self.component[units[units < len(self.component)]]])
            if (groups >= 0).any():
                return self.units_of(groups[groups >= 0])
        return self.held()

    def unbearable(self, fault: Fault) -> tuple[str, ...]:
        """Coupling groups near a fault, if it is none once they keep two channels."""
        widths, near = self.coupling.widths, np.unique(self.group[self.component[fault.units]])
        pairs = near[(near >= 0) & (self.counts[near] == 1) & (widths[near] % 2 == 0)]
        counts = self.counts.copy()
        counts[pairs] = 2
        bears = len(pairs) and _Check(self.slicer, self.trace, counts, self.inputs).failure() is None
        return tuple(self.coupling.names[index] for index in pairs) if bears else ()

    def held(self) -> Ints:
        """All units that a coupling group holds."""
        return self.units_of(np.arange(len(self.coupling.groups)))

    def units_of(self, groups: Ints) -> Ints:
        """The units of coupling groups."""
        return np.flatnonzero(np.isin(self.group[self.component], groups))


def _where(module: str) -> str:
    return f"`{module}`" if module else "the network's forward pass"


def _traced(tracer: Tracer, outputs: Any) -> list[Traced]:
    return [traced for leaf in tensors_in(outputs) if (traced := tracer.get(leaf)) is not None]


@torch.no_grad()
def bears_channels_last(model: nn.Module, coupling: Coupling, inputs: BatchLike) -> bool:
    """Whether a candidate runs on inputs and weights in channels-last memory; `view` on a map may not."""
    if not coupling.groups:
        return True
    slicer = Slicer(model, coupling, [np.arange(width) for width in coupling.widths])
    state = {name: _last(tensor) for name, tensor in slicer.slice((coupling.widths + 1) // 2).items()}
    with evaluating(model), slicer.sized(state):
        try:
            slicer.forward(state, Batch.of(inputs).to(memory_format=torch.channels_last))
        except Exception:  # a forward may raise anything; in its own memory format it has run already
            return False
    return True


def _last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
