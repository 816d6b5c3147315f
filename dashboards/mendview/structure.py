"""What a search wrote down about its network: coupling groups, the structures that need no search, the results.

It comes from attributes of the study that anybody who may write to the database can change, so nothing in it is taken
for granted: what does not read as expected is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Counts = dict[str, int]
CONTROLS = ("pre_pruned", "uniform")
ROWS = ("dense", "uniform", "pre_pruned", "mended")
TITLES = {"dense": "dense", "uniform": "uniform", "pre_pruned": "pre-pruned", "mended": "mended", "random": "random"}


@dataclass(frozen=True)
class Layer:
    """One layer of the dense network.

    Attributes:
        name: of the module.
        reads: coupling groups of its inputs; none where all of them always stay.
        writes: coupling group of its outputs, or None.
        macs: multiply-accumulates in the dense network.
        depthwise: an output channel reads its own input channel alone.
    """

    name: str
    reads: tuple[str, ...]
    writes: str | None
    macs: float
    depthwise: bool


@dataclass(frozen=True)
class Structure:
    """A network as a search sees it.

    Attributes:
        widths: channels of the dense network by coupling group, in network order.
        floor: channels from which mending started.
        pre_pruned: channels of the control that mending must beat.
        uniform: channels of the other control.
        controls: scores of `pre_pruned` and `uniform`, as trials are scored.
        yardstick: what candidates are held against, in words.
        dense_score: of the dense network.
        budget: limits in absolute numbers.
        dense: cost of the dense network.
        layers: in network order, where they are known.
        error_curves: relative error at 0, 1, … channels, by coupling group.
    """

    widths: Counts = field(default_factory=dict)
    floor: Counts = field(default_factory=dict)
    pre_pruned: Counts = field(default_factory=dict)
    uniform: Counts = field(default_factory=dict)
    controls: dict[str, float] = field(default_factory=dict)
    yardstick: str = "the dense network"
    dense_score: float | None = None
    budget: dict[str, float] = field(default_factory=dict)
    dense: dict[str, float] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    error_curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        """Coupling groups in network order."""
        return list(self.widths)

    def share(self, layer: Layer, counts: Mapping[str, int]) -> float:
        """What part of a dense layer's MACs is left."""
        written = self._part((layer.writes,) if layer.writes else (), counts)
        return written if layer.depthwise else written * self._part(layer.reads, counts)

    def _part(self, groups: tuple[str, ...], counts: Mapping[str, int]) -> float:
        known = [name for name in groups if name in self.widths]
        whole = sum(self.widths[name] for name in known)
        return sum(counts.get(name, self.widths[name]) for name in known) / whole if whole else 1.0


def read_structure(value: Any) -> Structure:
    """The study attribute `structure`; empty where there is none."""
    if not isinstance(value, dict):
        return Structure()
    widths = {name: width for name, width in read_counts(value.get("widths")).items() if width > 0}
    groups = value.get("groups")
    ordered = [name for name in groups if isinstance(name, str)] if isinstance(groups, list) else []
    widths = {name: widths[name] for name in dict.fromkeys([*ordered, *widths]) if name in widths}
    score = value.get("dense_score")
    layers = value.get("layers")
    return Structure(
        widths=widths,
        floor=_within(value.get("floor"), widths),
        pre_pruned=_within(value.get("pre_pruned"), widths),
        uniform=_within(value.get("uniform"), widths),
        controls={name: value for name, value in _numbers(value.get("controls")).items() if name in CONTROLS},
        yardstick="the labels" if value.get("yardstick") == "labels" else "the dense network",
        dense_score=float(score) if isinstance(score, int | float) and _is_number(score) else None,
        budget=_numbers(value.get("budget")),
        dense=_numbers(value.get("dense")),
        layers=tuple(filter(None, map(_layer, layers))) if isinstance(layers, list) else (),
        error_curves=_curves(value.get("error_curves"), widths),
    )


def read_results(value: Any) -> dict[str, Any]:
    """The study attribute `results`, as `result.json` holds it; rows without figures are left out."""
    if not isinstance(value, dict):
        return {}
    rows = {}
    for name in TITLES:
        row = value.get(name)
        if isinstance(row, dict) and _is_number(row.get("macs")):
            numbers = _numbers({key: item for key, item in row.items() if key != "keep_counts"})
            rows[name] = {**numbers, "keep_counts": read_counts(row.get("keep_counts"))}
    return rows


def read_test_images(value: Any) -> int | None:
    """From the same attribute: how many images its accuracies are of."""
    number = value.get("test_images") if isinstance(value, dict) else None
    return number if isinstance(number, int) and _is_number(number) and number > 0 else None


def read_result_trials(value: Any) -> int | None:
    """From the same attribute: among how many trials its structure was chosen."""
    counts = _numbers(value.get("trials")) if isinstance(value, dict) else {}
    return int(counts.get("complete", 0) + counts.get("stopped_early", 0)) or None


def read_counts(value: Any) -> Counts:
    """Channels by coupling group, from JSON or its text; what is no count is left out."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    if not isinstance(value, dict):
        return {}
    return {str(name): int(count) for name, count in value.items() if _is_number(count) and 0 <= count < 10**9}


def _within(value: Any, widths: Counts) -> Counts:
    return {name: min(count, widths[name]) for name, count in read_counts(value).items() if name in widths}


def _layer(value: Any) -> Layer | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not _is_number(value.get("macs")):
        return None
    reads, writes = value.get("group_in"), value.get("group_out")
    names = [reads] if isinstance(reads, str) else reads if isinstance(reads, list) else []
    return Layer(
        name=value["name"],
        reads=tuple(name for name in names if isinstance(name, str)),
        writes=writes if isinstance(writes, str) else None,
        macs=float(value["macs"]),
        depthwise=_is_number(value.get("conv_groups")) and value["conv_groups"] > 1,
    )


def _curves(value: Any, widths: Counts) -> dict[str, list[float]]:
    if not isinstance(value, dict):
        return {}
    return {
        name: [float(error) for error in value[name]]
        for name in widths
        if isinstance(value.get(name), list) and value[name] and all(map(_is_number, value[name]))
    }


def _numbers(value: Any) -> dict[str, float]:
    return {str(key): number for key, number in value.items() if _is_number(number)} if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e300
