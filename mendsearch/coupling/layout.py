"""Which channel of which coupling group every index of every tensor belongs to.

A small network by hand: a convolution `a` with 3 channels and a convolution `b` with 2 are concatenated and feed a
convolution `c`. Coupling group 0 is a's channels, group 1 is b's. The layouts are::

    a.weight dim 0   group [0 0 0]       unit [0 1 2]
    b.weight dim 0   group [1 1]         unit [0 1]
    c.weight dim 1   group [0 0 0 1 1]   unit [0 1 2 0 1]

With keep counts a=2, b=1 and the rank order of a being channel 2, 0, 1 and of b 1, 0, the kept indices of c.weight's
dim 1 are [0 2 4]: always in their first order, so that concatenation, splitting and flattening still agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """The owners of the indices along one dimension of a tensor.

    Attributes:
        group: (n,) int64, the coupling group of each index, -1 where the index always stays.
        unit: (n,) int64, the channel of that coupling group, 0 where `group` is -1.
    """

    group: Ints
    unit: Ints

    @cached_property
    def sole_group(self) -> int | None:
        """The coupling group that owns every index, or None where several, or none, do."""
        first = int(self.group[0])
        return first if first >= 0 and bool((self.group == first).all()) else None

    def owned(self, group_count: int) -> Ints:
        """(group_count,) int64, indices that belong to each coupling group."""
        found: Ints = np.bincount(self.group[self.group >= 0], minlength=group_count)
        return found

    def size(self, counts: Ints, widths: Ints) -> int:
        """How many indices stay in a candidate with these keep counts; both are (G,) int64."""
        return len(self.group) + int((self.owned(len(widths)) * (counts - widths) // widths).sum())

    def multiplicity(self, group_count: int) -> Ints:
        """(group_count,) int64, indices that one channel of each coupling group owns."""
        owned = self.group[self.group >= 0]
        channels = np.array([len(np.unique(self.unit[self.group == g])) for g in range(group_count)])
        found: Ints = np.bincount(owned, minlength=group_count) // np.maximum(channels, 1)
        return found

    def positions(self, orders: list[Ints]) -> Ints:
        """(n,) int64, each index's place in the rank order of its coupling group; -1 where the index always stays."""
        starts = np.cumsum([0, *(len(order) for order in orders)])[:-1]
        places = np.concatenate([np.argsort(order) for order in orders])
        owned = self.group >= 0
        return np.where(owned, places[starts[np.where(owned, self.group, 0)] + np.where(owned, self.unit, 0)], -1)


@dataclass(frozen=True)
class CouplingGroup:
    """Channels of several layers that can only be removed together.

    Attributes:
        name: of the first layer whose output channels they are; a trial's parameter is `restore/NAME`.
        width: channels in the dense network; a candidate keeps `step` to `width` of them.
        layers: whose output channels they are, in network order.
        outputs: (tensor, dimension) of the weights of those layers, whose indices are the output channels.
        step: number that keep counts are multiples of: 2 where the forward pass does not bear a single channel, as
            behind `squeeze()`, which takes away every axis of size 1; a divisor of `width`.
    """

    name: str
    width: int
    layers: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...] = ()
    step: int = 1


@dataclass(frozen=True, eq=False)
class Consumer:
    """A convolution or linear layer that reads prunable channels.

    Attributes:
        layer: its name.
        inputs: layout of its input channels or features.
        conv_groups: 1, or the number of convolution groups.
        absorbs_shift: a constant added to its outputs can be undone, by its bias or by a batch norm behind it.
    """

    layer: str
    inputs: Layout
    conv_groups: int
    absorbs_shift: bool


@dataclass(frozen=True, eq=False)
class Operation:
    """A multiplication in the forward pass of one item.

    Attributes:
        layer: name of the module that runs it.
        macs: multiply-accumulates in the dense network.
        layouts: of its dimensions that shrink; the cost is in proportion to the size of each.
    """

    layer: str
    macs: float
    layouts: tuple[Layout, ...]


@dataclass(frozen=True, eq=False)
class Held:
    """Memory of a tensor in the forward pass of one item.

    Attributes:
        values: in the dense network.
        layouts: of its dimensions that shrink.
        born: number of the operator that makes it.
        died: number of the last operator while which it is held.
    """

    values: float
    layouts: tuple[Layout, ...]
    born: int
    died: int


@dataclass(frozen=True, eq=False)
class Sized:
    """An attribute of a module that holds a size.

    Attributes:
        layout: of the indices that it is in proportion to.
        size: in the dense network.
    """

    layout: Layout
    size: int

    def of(self, counts: Ints, widths: Ints) -> int:
        """The size in a candidate with these keep counts; both are (G,) int64."""
        return self.size * self.layout.size(counts, widths) // len(self.layout.group)


@dataclass(frozen=True, eq=False)
class Coupling:
    """All that is known of how channels hang together.

    Attributes:
        groups: the coupling groups, in network order.
        axes: for each tensor of the state dict that shrinks, its dimensions and their layouts.
        consumers: in network order.
        whole: for each convolution or linear layer that keeps all its output channels, the reason.
        resized: names of modules that hold a size in an attribute which must follow (see `surgery.sized_attributes`).
        operations: convolutions, matrix products and attention, in the order in which they run.
        held: tensors, in the order in which they are made.
        sizes: by path (`sizes.py`), attributes that no tensor tells and that the forward pass reads.
        channels_last: whether the network bears images and weights in channels-last memory.
    """

    groups: tuple[CouplingGroup, ...]
    axes: Mapping[str, tuple[tuple[int, Layout], ...]]
    consumers: tuple[Consumer, ...]
    whole: Mapping[str, str]
    resized: tuple[str, ...] = field(default=())
    operations: tuple[Operation, ...] = field(default=())
    held: tuple[Held, ...] = field(default=())
    sizes: Mapping[str, Sized] = field(default_factory=dict)
    channels_last: bool = True

    @cached_property
    def layouts(self) -> tuple[Layout, ...]:
        """Every layout in use, each once."""
        tensors = (layout for axes in self.axes.values() for _, layout in axes)
        return tuple(dict.fromkeys(tensors))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coupling groups."""
        return tuple(group.name for group in self.groups)

    @cached_property
    def widths(self) -> Ints:
        """(G,) int64, the channels of every coupling group in the dense network."""
        return np.array([group.width for group in self.groups], dtype=np.int64)

    def steps(self, multiple: int = 1) -> Ints:
        """(G,) int64, the numbers that keep counts are multiples of, and the smallest keep counts.

        Args:
            multiple: a number wished for, which holds for coupling groups whose width is a multiple of it.
        """
        own = np.array([group.step for group in self.groups], dtype=np.int64)
        wished = np.lcm(own, multiple)
        return np.where(self.widths % wished == 0, wished, own)

    @cached_property
    def tellers(self) -> tuple[tuple[int, str, int], ...]:
        """Coupling groups whose keep counts the sizes of tensors tell, each with the tensor and its dimension.

        A dimension tells the one coupling group of its own that no teller before told.
        """
        found: dict[int, tuple[int, str, int]] = {}
        waiting = [(name, dim, set(np.unique(layout.group).tolist()) - {-1})
                   for name, axes in self.axes.items() for dim, layout in axes]  # fmt: skip
        while True:
            new = {next(iter(rest)): (name, dim) for name, dim, own in waiting if len(rest := own - found.keys()) == 1}
            if not new:
                return tuple(found.values())
            found |= {group: (group, *place) for group, place in new.items()}

    def told_counts(self, shapes: Mapping[str, tuple[int, ...]]) -> Ints:
        """(G,) int64, the keep counts of a candidate whose tensors have these shapes; widths where none tells."""
        counts, widths = self.widths.copy(), self.widths
        for group, name, dim in self.tellers:
            layout = dict(self.axes[name])[dim]
            lacking = shapes[name][dim] - layout.size(counts, widths)
            counts[group] += lacking * widths[group] // int(layout.owned(len(widths))[group])
        return counts

    def counts(self, keep_counts: Mapping[str, int]) -> Ints:
        """(G,) int64 of `keep_counts`, in the order of `groups`."""
        return np.array([keep_counts[name] for name in self.names], dtype=np.int64)

    def keep_counts(self, counts: Ints) -> dict[str, int]:
        """The reverse of `counts`."""
        return {name: int(count) for name, count in zip(self.names, counts, strict=True)}
