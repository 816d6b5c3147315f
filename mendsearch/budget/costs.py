"""The cost of a candidate, computed without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from mendsearch.coupling.layout import Coupling, Ints, Layout

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a cost: `factor` times the product of the sizes of the dimensions that shrink."""

    factor: float
    dims: tuple[int, ...]


class CostModel:
    """MACs and parameters of any candidate, computed from the sizes of what it multiplies and of its tensors.

    MACs are those of convolutions, matrix products and attention of one item, as `torch.utils.flop_counter` counts them
    (two FLOPs a MAC). Norms, activations and sums are not counted, as in the field's tables.

    Args:
        coupling: coupling groups of the network, with the operations of its forward pass.
        shapes: shape of every parameter, by name.
    """

    def __init__(self, coupling: Coupling, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.coupling = coupling
        count = len(coupling.groups)
        used: dict[Layout, int] = {}
        rows: list[tuple[Ints, int]] = []

        def row(layout: Layout) -> int:
            if layout not in used:
                used[layout] = len(rows)
                rows.append((layout.multiplicity(count), int((layout.group < 0).sum())))
            return used[layout]

        def term(dense: float, layouts: Iterable[Layout]) -> Term:
            sizes = [len(layout.group) for layout in layouts]
            return Term(dense / float(np.prod(sizes)), tuple(row(layout) for layout in layouts))

        terms = {
            "macs": [term(operation.macs, operation.layouts) for operation in coupling.operations],
            "params": [
                term(float(np.prod(shape)), [layout for _, layout in coupling.axes.get(name, ())])
                for name, shape in shapes.items()
            ],
        }
        self._matrix = np.array([matrix for matrix, _ in rows], dtype=np.float64).reshape(len(rows), count)
        self._fixed = np.array([fixed for _, fixed in rows], dtype=np.float64)
        self._terms = {quantity: _pack(parts) for quantity, parts in terms.items()}

    def layer_macs(self) -> dict[str, int]:
        """MACs of the dense network by the module that runs them, in the order in which they run first."""
        found: dict[str, float] = {}
        for operation in self.coupling.operations:
            found[operation.layer] = found.get(operation.layer, 0.0) + operation.macs
        return {layer: round(macs) for layer, macs in found.items()}

    def costs(self, counts: Ints, quantities: Iterable[str] = ("macs", "params")) -> dict[str, Floats]:
        """MACs and parameters of candidates.

        Args:
            counts: (..., G) int64.
            quantities: costs to compute.

        Returns:
            For each of `quantities`, (...) float64.
        """
        sizes = counts @ self._matrix.T + self._fixed
        padded = np.concatenate([sizes, np.ones((*sizes.shape[:-1], 1))], axis=-1)
        return {
            quantity: padded[..., dims].prod(axis=-1) @ factor
            for quantity in quantities
            for factor, dims in (self._terms[quantity],)
        }

    def cost(self, counts: Ints) -> dict[str, int]:
        """MACs and parameters of one candidate."""
        return {quantity: round(float(value)) for quantity, value in self.costs(counts).items()}


def _pack(terms: list[Term]) -> tuple[Floats, Ints]:
    """Factors (T,), and the shrinking dimensions of each term (T, most); -1 stands for the padded column of ones.

    Terms of the same dimensions are one.
    """
    factors: dict[tuple[int, ...], float] = {}
    for term in terms:
        factors[term.dims] = factors.get(term.dims, 0.0) + term.factor
    most = max((len(dims) for dims in factors), default=0)
    dims = np.array([(*dims, *[-1] * (most - len(dims))) for dims in factors], dtype=np.int64).reshape(
        len(factors), most
    )
    return np.array(list(factors.values())), dims


def build_cost_model(model: nn.Module, coupling: Coupling) -> CostModel:
    """The cost model of a network whose coupling groups are known."""
    return CostModel(coupling, {name: tuple(parameter.shape) for name, parameter in model.named_parameters()})
