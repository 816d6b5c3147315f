"""Units, what ties them together, and what keeps them whole.

A unit is one index along one dimension of a parameter or buffer: the output channel of a layer, or the place in a
weight that reads it. Units that can only be removed together are tied; a unit that must stay is fixed, with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from mendsearch.coupling.layout import Ints


@dataclass(frozen=True)
class Traced:
    """What is known of one tensor of a forward pass.

    Attributes:
        axes: by dimension, (size,) int64, the unit of every index; dimensions that hold no units are left out.
        debts: reasons to keep units whole that come due if the tensor has a part in the network's outputs.
        source: the parameter that the tensor is, or is the transpose of.
    """

    axes: dict[int, Ints] = field(default_factory=dict)
    debts: frozenset[int] = frozenset()
    source: str | None = None


class Units:
    """A growing set of units with ties between them.

    Args:
        count: units that are there already.
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self._ties: list[Ints] = []
        self._fixed: list[tuple[Ints, str]] = []
        self._debts: list[tuple[Ints, str]] = []

    def fresh(self, size: int) -> Ints:
        """(size,) int64, new units."""
        self.count += size
        return np.arange(self.count - size, self.count)

    def constant(self, size: int, reason: str) -> Ints:
        """(size,) int64, new units that stay, and keep whole whatever is tied to them."""
        units = self.fresh(size)
        self.fix(units, reason)
        return units

    def tie(self, left: Ints, right: Ints) -> None:
        """Units at the same places (broadcast) can only go together."""
        left, right = (side.ravel() for side in np.broadcast_arrays(left, right))
        differ = left != right
        if differ.any():
            self._ties.append(np.stack([left[differ], right[differ]]))

    def fix(self, units: Ints, reason: str) -> None:
        """Units stay, whatever happens."""
        self._fixed.append((np.unique(units), reason))

    def owe(self, units: Ints, reason: str) -> frozenset[int]:
        """Units stay if the tensor that gets the debt has a part in the outputs."""
        self._debts.append((np.unique(units), reason))
        return frozenset([len(self._debts) - 1])

    def settle(self, debts: frozenset[int]) -> None:
        """Fix the units of debts that reached the network's outputs."""
        for debt in sorted(debts):
            self._fixed.append(self._debts[debt])

    def components(self) -> tuple[Ints, dict[int, str]]:
        """(count,) int64, which units hang together; and by component that stays, the first reason."""
        pairs = np.concatenate(self._ties, axis=1) if self._ties else np.zeros((2, 0), dtype=np.int64)
        graph = coo_matrix(
            (np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), shape=(self.count, self.count)
        )
        found = connected_components(graph, directed=False)[1].astype(np.int64)
        reasons: dict[int, str] = {}
        for units, reason in self._fixed:
            for component in np.unique(found[units]):
                reasons.setdefault(int(component), reason)
        return found, reasons


def varying(labels: Tensor) -> list[int]:
    """Dimensions along which labels differ."""
    return [
        dim for dim in range(labels.dim()) if labels.shape[dim] > 1 and bool((labels != labels.narrow(dim, 0, 1)).any())
    ]


def spread(units: Ints, dim: int, shape: tuple[int, ...]) -> Tensor:
    """Labels of `shape`: the units along one dimension, the same at all other indices."""
    view = [1] * len(shape)
    view[dim] = -1
    return torch.from_numpy(np.ascontiguousarray(units)).view(view).expand(shape)
