"""A divergence of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mendsearch.errors import ModelError
from mendsearch.outputs.base import Divergence

DivergenceFunction = Callable[[Any, Any], Tensor]
"""(leaf of the candidate, leaf of the dense network) -> (N,) divergences."""


class Given(Divergence):
    """Whatever a function says of two leaves.

    Args:
        function: takes a candidate's leaf and the dense network's, and returns (N,) divergences, 0 where equal.
        name: name of the leaf, for messages.
    """

    def __init__(self, function: DivergenceFunction, name: str) -> None:
        self.function, self.name = function, name

    def prepare(self, values: Any) -> Any:
        """As the network gave it."""
        return values

    def between(self, found: Any, dense: Any) -> Tensor:
        values = self.function(found, dense)
        if not isinstance(values, Tensor) or values.shape != (len(dense),):
            got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ModelError(f"the divergence given for `{self.name}`: got {got}, expected a tensor ({len(dense)},)")
        return values.float()
