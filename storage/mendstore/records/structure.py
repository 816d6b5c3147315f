"""The study attribute `structure`: the network as a search sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from mendstore.records.base import Counts, Number, Record

STRUCTURE = "structure"
"""Name of the study attribute."""


class Layer(Record):
    """One convolution or linear layer of the dense network.

    Attributes:
        name: name of the module.
        group_in: coupling group of its inputs, or several; None where all inputs always stay.
        group_out: coupling group of its outputs, or None.
        macs: multiply-accumulates in the dense network.
        conv_groups: groups of the convolution; above 1 an output channel reads its own inputs alone.
    """

    name: str
    group_in: str | list[str] | None = None
    group_out: str | None = None
    macs: Number = Field(ge=0)
    conv_groups: int = 1

    @property
    def depthwise(self) -> bool:
        """Whether the layer's inputs shrink with its outputs."""
        return self.conv_groups > 1

    @property
    def reads(self) -> list[str]:
        """Coupling groups of the inputs."""
        return [self.group_in] if isinstance(self.group_in, str) else self.group_in or []


class Output(Record):
    """One output of the network, and how candidates are compared by it.

    Attributes:
        name: path in the network's outputs.
        shape: shape for one item.
        divergence: `kl`, `bernoulli`, `squared`, `cosine`, `detections`, `none`, or the path of a user's function.
        weight: weight in the score.
        axis: axis of classes or features, where there is one.
        reason: why it is compared so.
    """

    name: str
    shape: list[int] = Field(default_factory=list)
    divergence: str
    weight: Number = 1.0
    axis: int | None = None
    reason: str = ""


class Structure(Record):
    """Coupling groups, the structures that need no search, and what they cost.

    Attributes:
        groups: coupling groups in network order.
        widths: channels of the dense network by coupling group.
        floor: channels from which mending starts.
        pre_pruned: channels of the control that mending must beat.
        uniform: channels of the other control.
        controls: scores of `pre_pruned` and `uniform`, as trials are scored.
        control_divergences: what the controls' scores are made of: mean divergences by output.
        reference: what candidates are compared with: the dense network's outputs or the labels; or `metric`, where they
            are judged by a metric of the user's own. Stored as `yardstick`.
        metric: import path of that metric, or None.
        outputs: the network's outputs; empty where a metric judges.
        dense_score: score of the dense network.
        dense: costs of the dense network.
        budget: limits in absolute numbers.
        error_curves: error at 0, 1, … channels, by coupling group, as a divergence of the outputs or relative to each
            layer's; empty for very wide networks.
        layers: convolutions and linear layers in network order.
    """

    groups: list[str] = Field(default_factory=list)
    widths: Counts = Field(default_factory=dict)
    floor: Counts = Field(default_factory=dict)
    pre_pruned: Counts = Field(default_factory=dict)
    uniform: Counts = Field(default_factory=dict)
    controls: dict[str, Number] = Field(default_factory=dict)
    control_divergences: dict[str, dict[str, Number]] = Field(default_factory=dict)
    reference: Literal["dense", "labels", "metric"] = Field("dense", alias="yardstick")
    metric: str | None = None
    outputs: list[Output] = Field(default_factory=list)
    dense_score: Number | None = None
    dense: dict[str, Number] = Field(default_factory=dict)
    budget: dict[str, Number] = Field(default_factory=dict)
    error_curves: dict[str, list[Number]] = Field(default_factory=dict)
    layers: list[Layer] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _in_network_order(cls, value: object) -> object:
        """Early searches named their coupling groups in `widths` alone."""
        if isinstance(value, dict) and "groups" not in value and isinstance(value.get("widths"), dict):
            return {**value, "groups": list(value["widths"])}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.groups)) < len(self.groups) or set(self.groups) != self.widths.keys():
            raise ValueError("`groups` and `widths` name different coupling groups")
        if 0 in self.widths.values():
            raise ValueError("`widths`: a coupling group has no channels")
        for name in ("floor", "pre_pruned", "uniform"):
            counts: Counts = getattr(self, name)
            if any(count > self.widths.get(group, -1) for group, count in counts.items()):
                raise ValueError(f"`{name}` has more channels than the dense network")
        if not self.controls.keys() | self.control_divergences.keys() <= {"pre_pruned", "uniform"}:
            raise ValueError("`controls` names a structure that is no control")
        if not all(self.error_curves.get(group, [0.0]) for group in self.groups):
            raise ValueError("`error_curves` holds an empty curve")
        return self

    @property
    def reference_name(self) -> str:
        """What candidates are compared with, in words."""
        names = {"labels": "the labels", "metric": self.metric or "a metric"}
        return names.get(self.reference, "the dense network")

    def share(self, layer: Layer, counts: Mapping[str, int]) -> float:
        """The fraction of a dense layer's MACs that is left.

        Args:
            layer: layer of the dense network.
            counts: channels that stay, by coupling group; a group that is not named stays whole.
        """
        written = self._fraction((layer.group_out,) if layer.group_out else (), counts)
        return written if layer.depthwise else written * self._fraction(layer.reads, counts)

    def _fraction(self, groups: Iterable[str], counts: Mapping[str, int]) -> float:
        known = [name for name in groups if name in self.widths]
        whole = sum(self.widths[name] for name in known)
        return sum(counts.get(name, self.widths[name]) for name in known) / whole if whole else 1.0
