"""Base classes: a criterion, its inputs, and the filter ranking that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from mendsearch.batches import BatchLike
from mendsearch.coupling.copying import named_tensors
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.outputs import Wishes
from mendsearch.ranking.statistics import InputStatistics

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FilterRanking:
    """One score per channel, for every coupling group.

    Attributes:
        criterion: name of the criterion.
        scores: scores (width,) float32 of each coupling group, higher = keep; comparable between coupling groups.
    """

    criterion: str
    scores: tuple[Scores, ...]

    @property
    def orders(self) -> list[Ints]:
        """Channels of each coupling group, best first; of equal scores, the lower channel first."""
        return [np.argsort(-scores, kind="stable").astype(np.int64) for scores in self.scores]


@dataclass(frozen=True, eq=False)
class RankingInputs:
    """Everything that a criterion may use.

    Attributes:
        model: the dense network.
        coupling: its coupling groups.
        statistics: input statistics, by name of the consumer.
        batch: inputs of the calibration items.
        seed: seed of criteria that are random.
        outputs: what the user says of the network's outputs.
    """

    model: nn.Module
    coupling: Coupling
    statistics: Mapping[str, InputStatistics]
    batch: BatchLike
    seed: int
    outputs: Wishes = field(default_factory=dict)

    def state(self) -> dict[str, Tensor]:
        """The dense parameters and buffers, by name."""
        return {name: tensor.detach() for name, tensor in named_tensors(self.model).items()}


class Criterion(ABC):
    """Scores the channels of every coupling group, once per search."""

    name: str

    @abstractmethod
    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        """Scores (width,) float32 of coupling group `index`: higher = keep, comparable between coupling groups."""

    def rank(self, inputs: RankingInputs, on_group: Callable[[], None] = lambda: None) -> FilterRanking:
        """Rank all channels by this criterion; `on_group` is called after each coupling group."""
        found = []
        for index in range(len(inputs.coupling.groups)):
            found.append(self.scores(inputs, index))
            on_group()
        return FilterRanking(self.name, tuple(found))
