"""What a candidate costs, without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mendsearch.coupling.layout import Coupling, Ints, Layout
from mendsearch.modes import evaluating

Floats = npt.NDArray[np.float64]
Weighted = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True, eq=False)
class Term:
    """A tensor's contribution: `factor` times the product of its dimensions that shrink."""

    factor: float
    dims: tuple[int, ...]


class CostModel:
    """MACs and parameters of any candidate, from the sizes of its tensors.

    A convolution costs as many MACs as its weight has values, times its output positions; a linear layer likewise.
    Norms, activations and sums are not counted, as in the field's tables.

    Args:
        coupling: of the network.
        shapes: of every parameter, by name.
        positions: output positions of one image for every convolution and linear layer (input positions where the
            convolution is transposed), by layer name.
    """

    def __init__(
        self, coupling: Coupling, shapes: Mapping[str, tuple[int, ...]], positions: Mapping[str, float]
    ) -> None:
        self.coupling, self.positions = coupling, dict(positions)
        count = len(coupling.groups)
        used: dict[Layout, int] = {}
        rows: list[tuple[Ints, int]] = []

        def row(layout: Layout) -> int:
            if layout not in used:
                used[layout] = len(rows)
                rows.append((layout.multiplicity(count), int((layout.group < 0).sum())))
            return used[layout]

        def term(name: str, times: float) -> Term:
            shrinking = coupling.axes.get(name, ())
            fixed = [size for dim, size in enumerate(shapes[name]) if dim not in {d for d, _ in shrinking}]
            return Term(times * float(np.prod(fixed)), tuple(row(layout) for _, layout in shrinking))

        terms = {
            "macs": [term(f"{layer}.weight" if layer else "weight", times) for layer, times in positions.items()],
            "params": [term(name, 1.0) for name in shapes],
        }
        self._matrix = np.array([matrix for matrix, _ in rows], dtype=np.float64).reshape(len(rows), count)
        self._fixed = np.array([fixed for _, fixed in rows], dtype=np.float64)
        self._terms = {quantity: _pack(parts) for quantity, parts in terms.items()}

    def costs(self, counts: Ints, quantities: Iterable[str] = ("macs", "params")) -> dict[str, Floats]:
        """MACs and parameters of candidates.

        Args:
            counts: (..., G) int64.
            quantities: which of the two.

        Returns:
            for each of `quantities`, (...) float64.
        """
        sizes = counts @ self._matrix.T + self._fixed
        padded = np.concatenate([sizes, np.ones((*sizes.shape[:-1], 1))], axis=-1)
        return {
            quantity: (padded[..., first] * padded[..., second]) @ factor
            for quantity in quantities
            for factor, first, second in (self._terms[quantity],)
        }

    def cost(self, counts: Ints) -> dict[str, int]:
        """MACs and parameters of one candidate."""
        return {quantity: round(float(value)) for quantity, value in self.costs(counts).items()}


def _pack(terms: list[Term]) -> tuple[Floats, Ints, Ints]:
    """Factors and the two shrinking dimensions of each term; -1 stands for the padded column of ones."""
    factor = np.array([term.factor for term in terms])
    dims = np.array([(*term.dims, -1, -1)[:2] for term in terms], dtype=np.int64).reshape(-1, 2)
    return factor, dims[:, 0], dims[:, 1]


@torch.no_grad()
def build_cost_model(model: nn.Module, coupling: Coupling, image: Tensor) -> CostModel:
    """Measure the positions of every layer on one image (1, C, H, W), and make the cost model."""
    positions: dict[str, float] = {}
    hooks = []

    def count(name: str, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
        if isinstance(module, nn.Linear):
            found = outputs.numel() / outputs.shape[-1]
        else:
            found = float(np.prod((inputs if getattr(module, "transposed", False) else outputs).shape[2:]))
        positions[name] = positions.get(name, 0.0) + found

    for name, module in model.named_modules():
        if isinstance(module, Weighted):
            hooks.append(module.register_forward_hook(lambda m, i, o, name=name: count(name, m, i[0], o)))
    try:
        with evaluating(model):
            model(image[:1].to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return CostModel(coupling, {name: tuple(p.shape) for name, p in model.named_parameters()}, positions)
