"""From traced units to coupling groups and the layouts of every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import nn

from mendsearch.coupling.layout import Consumer, Coupling, CouplingGroup, Held, Ints, Layout, Operation, Sized
from mendsearch.coupling.trace import Trace

OUTPUT = "its channels are the network's output"
EXCLUDED = "excluded by `prune.exclude`"
SINGLE = "all its channels hang together, so that none can go alone"
ONE = "it has one output channel"
UNUSED = "the forward pass does not use it"
COMPUTED = "its channels are not followed"
Roots = (nn.modules.conv._ConvNd, nn.Linear)
"""A tensor of the network and one of its dimensions."""


def layer_of(tensor: str) -> str:
    """The layer whose parameter a tensor is, also behind a parametrisation; a parameter without a layer is its own."""
    if ".parametrizations" in tensor:
        return tensor.partition(".parametrizations")[0]
    module, _, key = tensor.rpartition(".")
    return module if key.startswith(("weight", "bias", "running_")) else tensor


def coupling_of(model: nn.Module, trace: Trace, kept: list[tuple[Ints, str]]) -> Coupling:
    """The coupling groups of a trace: components of tied units that have the same places.

    Args:
        model: the network.
        trace: of it.
        kept: units that stay too, with the reason.
    """
    return _Builder(model, trace, kept).build()


def held_whole(coupling: Coupling) -> dict[str, str]:
    """By layer, why it keeps all its channels, where they are no outputs and nobody asked for it."""
    expected = (EXCLUDED, OUTPUT, ONE, UNUSED)
    return {name: reason for name, reason in coupling.whole.items() if not reason.startswith(expected)}


def held_line(coupling: Coupling, where: str) -> str | None:
    """What stays whole in a sentence, with where all reasons are; None where nothing does."""
    held = held_whole(coupling)
    if not held:
        return None
    layers = len(coupling.whole) + len({layer for group in coupling.groups for layer in group.layers})
    name, reason = next(iter(held.items()))
    return f"{len(held)} of {layers} layers keep all their channels, such as `{name}`: {reason}; {where} lists them"


def prunable(coupling: Coupling, trace: Trace) -> Ints:
    """Every unit that a coupling group holds."""
    found = [trace.places[name, dim][layout.group >= 0] for name, axes in coupling.axes.items() for dim, layout in axes]
    return np.unique(np.concatenate(found))


class _Builder:
    def __init__(self, model: nn.Module, trace: Trace, kept: list[tuple[Ints, str]]) -> None:
        self.model, self.trace = model, trace
        self.component, self.reasons = trace.units.components()
        for units, reason in kept:
            for found in np.unique(self.component[units]):
                self.reasons.setdefault(int(found), reason)
        count = int(self.component.max()) + 1 if len(self.component) else 0
        self.produced = np.zeros(trace.units.count, dtype=bool)
        for units in trace.produced:
            self.produced[units] = True
        self.group = np.full(count, -1, dtype=np.int64)
        self.unit = np.zeros(count, dtype=np.int64)
        self._layouts: dict[bytes, Layout] = {}

    def build(self) -> Coupling:
        groups = self._groups()
        axes: dict[str, list[tuple[int, Layout]]] = {}
        for (name, dim), units in self.trace.places.items():
            layout = self._layout(units)
            if layout is not None:
                axes.setdefault(name, []).append((dim, layout))
        touched = {name.rpartition(".")[0] for name in axes}
        in_order = tuple(name for name, _ in self.model.named_modules() if name in touched)
        coupling = Coupling(
            tuple(groups),
            {name: tuple(sorted(dims, key=lambda pair: pair[0])) for name, dims in axes.items()},
            tuple(self._consumers(axes)),
            self._whole(),
            in_order,
            tuple(self._operations()),
            tuple(self._held()),
        )
        return replace(coupling, sizes=dict(self._sizes(coupling)))

    def _groups(self) -> list[CouplingGroup]:
        """Numbers groups and units, in network order."""
        removable = np.zeros(len(self.group), dtype=bool)
        removable[self.component[np.flatnonzero(self.produced)]] = True
        removable[list(self.reasons)] = False
        places = list(self.trace.places.items())
        signatures: dict[int, list[tuple[int, int]]] = {}
        for index, (_, units) in enumerate(places):
            for found, times in zip(*np.unique(self.component[units], return_counts=True), strict=True):
                if removable[found]:
                    signatures.setdefault(int(found), []).append((index, int(times)))
        members: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for found, signature in signatures.items():
            members.setdefault(tuple(signature), []).append(found)
        names = [*(name for name, _ in self.model.named_modules()), *(name for name, _ in self.trace.places)]
        order = {name: number for number, name in enumerate(dict.fromkeys(names))}
        described = []
        producing = [bool(self.produced[units].any()) for _, units in places]
        for shape, components in members.items():
            outputs = [places[index][0] for index, _ in shape if producing[index]]
            layers = sorted({layer_of(name) for name, _ in outputs}, key=lambda name: order.get(name, 0))
            if len(components) == 1:
                self.reasons.setdefault(components[0], SINGLE)
                continue
            described.append((order.get(layers[0], 0), layers, outputs, components))
        described.sort(key=lambda item: (item[0], item[3][0]))
        taken: dict[str, int] = {}
        groups = []
        for number, (_, layers, outputs, components) in enumerate(described):
            first = self.component[self.trace.places[outputs[0]]]
            ordered = [found for found in dict.fromkeys(first.tolist()) if found in set(components)]
            self.group[ordered], self.unit[ordered] = number, np.arange(len(ordered))
            taken[layers[0]] = taken.get(layers[0], 0) + 1
            name = layers[0] if taken[layers[0]] == 1 else f"{layers[0]}#{taken[layers[0]]}"
            groups.append(CouplingGroup(name, len(ordered), tuple(layers), tuple(outputs)))
        return groups

    def _sizes(self, coupling: Coupling) -> Iterator[tuple[str, Sized]]:
        """Sizes that follow from the keep counts, which the tensors tell."""
        told = {group for group, _, _ in coupling.tellers}
        for path, (units, size) in self.trace.sizes.items():
            layout = self._layout(units)
            if layout is not None and all(
                group in told and len(set(np.bincount(layout.unit[layout.group == group], minlength=width))) == 1
                for group, width in enumerate(coupling.widths)
                if (layout.group == group).any()
            ):
                yield path, Sized(layout, size)

    def _layout(self, units: Ints) -> Layout | None:
        """The layout of a dimension with these units; None where nothing of it can go."""
        found = self.component[units]
        group = self.group[found]
        if not (group >= 0).any():
            return None
        unit = np.where(group >= 0, self.unit[found], 0)
        return self._layouts.setdefault(group.tobytes() + b"/" + unit.tobytes(), Layout(group, unit))

    def _whole(self) -> dict[str, str]:
        """For every layer with channels that all stay, why."""
        outputs: dict[str, list[Ints]] = {}
        for (name, _), units in self.trace.places.items():
            if self.produced[units].any():
                outputs.setdefault(layer_of(name), []).append(self.component[units[self.produced[units]]])
        whole = {}
        for name, module in self.model.named_modules():
            found = outputs.get(name)
            if found is None:
                if isinstance(module, Roots) and not self._shared(name, module):
                    whole[name] = self.trace.untraced or (COMPUTED if name in self.trace.ran else UNUSED)
            elif not any((self.group[components] >= 0).any() for components in found):
                reasons = (self.reasons.get(int(one)) for components in found for one in components)
                reason = next((reason for reason in reasons if reason), SINGLE)
                alone = sum(len(components) for components in found) == 1
                whole[name] = ONE if alone and reason == SINGLE else reason
        return whole

    def _shared(self, name: str, module: nn.Module) -> bool:
        """Whether the weight of a layer is another's too, and is known by that name."""
        return "weight" in module._parameters and (f"{name}.weight" if name else "weight", 0) not in self.trace.places

    def _consumers(self, axes: dict[str, list[tuple[int, Layout]]]) -> Iterator[Consumer]:
        for name, _ in self.model.named_modules():
            reading = self.trace.readings.get(name)
            if reading is None:
                continue
            layout = dict(axes.get(f"{name}.weight" if name else "weight", ())).get(1)
            if layout is not None:
                yield Consumer(name, layout, reading.conv_groups, reading.bias or name in self.trace.absorbed)

    def _operations(self) -> Iterator[Operation]:
        for product in self.trace.products:
            layouts = (self._layout(units) for units in product.units)
            yield Operation(product.layer, product.macs, tuple(layout for layout in layouts if layout is not None))

    def _held(self) -> Iterator[Held]:
        last = max((life.died or life.born for life in self.trace.lives), default=0)
        for life in self.trace.lives:
            layouts = tuple(layout for units in life.units if (layout := self._layout(units)) is not None)
            yield Held(life.values, layouts, life.born, last if life.died is None else life.died)
