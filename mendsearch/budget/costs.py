"""The cost of a candidate, computed without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import nn

from mendsearch.budget.features import Features, Floats, geometries
from mendsearch.budget.latency import LatencyModel
from mendsearch.budget.profile import LatencyProfile, key_of, network_digest
from mendsearch.config import LATENCY
from mendsearch.coupling.copying import dtype_of
from mendsearch.coupling.layout import Coupling, Held, Ints, Layout
from mendsearch.errors import BudgetError


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a cost: `factor` times the product of the sizes of the dimensions that shrink."""

    factor: float
    dims: tuple[int, ...]


class CostModel:
    """Costs of any candidate, computed from the sizes of what it multiplies and of its tensors.

    `macs` are those of convolutions, matrix products and attention of one item, as `torch.utils.flop_counter` counts
    them (two FLOPs a MAC). Norms, activations and sums are not counted, as in the field's tables. `params` are its
    parameters, and `size_bytes` their bytes. `activation_bytes` are those of all tensors that the forward pass of one
    item holds at once, where they are most: what PyTorch allocates for activations when it runs operator by operator in
    evaluation mode. Runtimes that fuse operators need less. `latency_ms` is what a latency model says, if there is one;
    `latency_ms.NAME` what that of a named device says.

    Args:
        coupling: coupling groups of the network, with the operations of its forward pass.
        shapes: shape of every parameter, by name.
        item_bytes: bytes of one value of the weights and activations.
        latencies: models of the time of candidates, by the names of these costs.
    """

    def __init__(
        self,
        coupling: Coupling,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        item_bytes: int = 4,
        latencies: Mapping[str, LatencyModel] | None = None,
    ) -> None:
        self.coupling, self.latencies = coupling, dict(latencies or {})
        self._item_bytes = item_bytes
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

        held = [term(tensor.values, tensor.layouts) for tensor in coupling.held]
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
        self._held = _columns(held)

    @cached_property
    def _moments(self) -> Floats:
        return _moments(self.coupling.held)

    def layer_macs(self) -> dict[str, int]:
        """MACs of the dense network by the module that runs them, in the order in which they run first."""
        found: dict[str, float] = {}
        for operation in self.coupling.operations:
            found[operation.layer] = found.get(operation.layer, 0.0) + operation.macs
        return {layer: round(macs) for layer, macs in found.items()}

    def layer_ms(self, counts: Ints, name: str = LATENCY) -> dict[str, float]:
        """Milliseconds of each module, in the order in which they run first, as a latency model says.

        The constant of a call, and what the runtime does between layers, are in none of them.

        Args:
            counts: (G,) int64.
            name: of the cost in time.
        """
        found: dict[str, float] = {}
        parts = self.latencies[name].by_operation(counts)
        for operation, ms in zip(self.coupling.operations, parts, strict=True):
            found[operation.layer] = found.get(operation.layer, 0.0) + float(ms)
        return found

    def costs(self, counts: Ints, quantities: Iterable[str] = ("macs", "params")) -> dict[str, Floats]:
        """Costs of candidates.

        Args:
            counts: (..., G) int64.
            quantities: costs to compute.

        Returns:
            For each of `quantities`, (...) float64.
        """
        sizes = counts @ self._matrix.T + self._fixed
        padded = np.concatenate([sizes, np.ones((*sizes.shape[:-1], 1))], axis=-1)
        return {quantity: self._cost(quantity, counts, padded) for quantity in quantities}

    def _cost(self, quantity: str, counts: Ints, padded: Floats) -> Floats:
        if quantity in self.latencies:
            return self.latencies[quantity].ms(counts)
        if quantity == "activation_bytes":
            factor, dims = self._held
            sizes = padded[..., dims].prod(axis=-1) * factor
            largest: Floats = self._item_bytes * (sizes @ self._moments).max(axis=-1, initial=0.0)
            return largest
        factor, dims = self._terms["params" if quantity == "size_bytes" else quantity]
        found: Floats = padded[..., dims].prod(axis=-1) @ factor
        return self._item_bytes * found if quantity == "size_bytes" else found

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
    return _columns([Term(factor, dims) for dims, factor in factors.items()])


def _columns(terms: list[Term]) -> tuple[Floats, Ints]:
    """The same with a row for each term."""
    most = max((len(term.dims) for term in terms), default=0)
    dims = np.array([(*term.dims, *[-1] * (most - len(term.dims))) for term in terms], dtype=np.int64)
    return np.array([term.factor for term in terms], dtype=np.float64), dims.reshape(len(terms), most)


def _moments(held: Sequence[Held]) -> Floats:
    """(H, T) of 0 and 1, which tensors are held at each moment at which there may be most.

    Something is made at such a moment, and something of it is gone when the next is made.
    """
    born, died = (np.array([getattr(tensor, end) for tensor in held], dtype=np.int64) for end in ("born", "died"))
    births = np.unique(born)
    alive = (born[:, None] <= births) & (births <= died[:, None])
    ends = (alive[:, :-1] & ~alive[:, 1:]).any(axis=0)
    found: Floats = alive[:, np.append(ends, True)[: len(births)]].astype(np.float64)
    return found


def build_cost_model(
    model: nn.Module, coupling: Coupling, profiles: Mapping[str, LatencyProfile] | None = None
) -> CostModel:
    """The cost model of a network whose coupling groups are known.

    Args:
        model: the network.
        coupling: its coupling groups.
        profiles: latency profiles of it, by the names of the costs in time: `latency_ms`, `latency_ms.NAME`.

    Raises:
        BudgetError: a profile is of another network.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    geometry = geometries(model)
    features = Features(coupling, shapes, geometry)
    digest = network_digest(coupling, shapes, geometry)
    for name, profile in (profiles or {}).items():
        if profile.network != digest:
            raise BudgetError(
                f"{key_of(name)}: got the profile of another network, or of other input shapes or `prune.exclude`; "
                f"make one of this search with `mendsearch profile`"
            )
    latencies = {name: profile.latency_model(features) for name, profile in (profiles or {}).items()}
    return CostModel(coupling, shapes, item_bytes=dtype_of(model).itemsize, latencies=latencies)
