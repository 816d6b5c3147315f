"""What passes of a network told: units, where they are, and what reads and multiplies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mendsearch.coupling.layout import Ints
from mendsearch.coupling.lifetimes import Life
from mendsearch.coupling.units import Units

Site = tuple[str, int]
"""A file and a line of it."""


@dataclass(frozen=True)
class Product:
    """A multiplication that was traced: a convolution, a matrix product, attention.

    Attributes:
        layer: name of the module that ran it.
        macs: multiply-accumulates of one item.
        units: of each dimension that may shrink.
    """

    layer: str
    macs: float
    units: tuple[Ints, ...]


@dataclass(frozen=True)
class Reading:
    """A convolution or linear layer that was seen to read units with its own weight."""

    layer: str
    conv_groups: int
    bias: bool


@dataclass(eq=False)
class Choice:
    """A view that splits a dimension of units in several; only one of them can shrink.

    Attributes:
        units: that the view splits.
        candidates: the dimensions, the most likely one first.
        site: file and line that asked for the view.
    """

    units: Ints
    candidates: tuple[int, ...]
    site: Site


@dataclass(eq=False)
class Trace:
    """What passes of one network told.

    Attributes:
        units: every unit, with its ties.
        places: by name of a tensor of the network and dimension, its units.
        produced: units that a weight puts out as its channels.
        products: in the order of the first pass.
        lives: of the tensors of the first pass, in the order of birth.
        readings: layers that read units, by name.
        absorbed: layers whose outputs a batch norm takes.
        choices: by pass and number of the view in it, what its dimensions could be.
        chosen: likewise, how many of the candidates were ruled out.
        sizes: by path of a size that a module keeps, the units that it is in proportion to, and its value.
        ran: names of the modules that ran.
        untraced: why no pass could be followed at all.
    """

    units: Units = field(default_factory=Units)
    places: dict[tuple[str, int], Ints] = field(default_factory=dict)
    produced: list[Ints] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    readings: dict[str, Reading] = field(default_factory=dict)
    absorbed: set[str] = field(default_factory=set)
    choices: dict[tuple[str, int], Choice] = field(default_factory=dict)
    chosen: Mapping[tuple[str, int], int] = field(default_factory=dict)
    sizes: dict[str, tuple[Ints, int]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    untraced: str | None = None

    def __post_init__(self) -> None:
        self.input = self.units.owe(np.zeros(0, dtype=np.int64), "")

    def fork(self, places: Mapping[tuple[str, int], Ints]) -> Trace:
        """A trace for another pass of the same network, which leaves this one as it is."""
        return Trace(Units(self.units.count), dict(places), chosen=self.chosen)
