"""What each layer of a candidate multiplies, reads and writes: what its time is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from mendsearch.coupling.layout import Coupling, Ints, Layout, Operation

Floats = npt.NDArray[np.float64]
STEPS = (1, 8, 16, 32)
"""Numbers of channels that devices compute together; which of them a device has, the fit finds out."""
THRASHING = 0.5
"""Weights beyond a cache, as a part of what it holds, from which nothing is found in it again."""
Grouping = Literal["kind", "layer"]


@dataclass(frozen=True)
class Geometry:
    """Of a convolution.

    Attributes:
        stride: product over its dimensions.
        conv_groups: number of convolution groups.
        transposed: whether its weight is (inputs, outputs, ...).
    """

    stride: int = 1
    conv_groups: int = 1
    transposed: bool = False


def geometries(model: nn.Module) -> dict[str, Geometry]:
    """By name, of all convolutions of a network."""
    return {
        name: Geometry(int(np.prod(module.stride)), module.groups, module.transposed)
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd)
    }


@dataclass(frozen=True)
class _Part:
    """One operation. Its MACs are a factor times the product of the sizes in `dims`.

    Attributes:
        kind: `depthwise`, `pointwise`, `spatial`, `linear` or `product`.
        macs: that factor.
        dims: two rows of sizes.
        read: row of its input channels, and the values of each, for one item.
        written: likewise, of its output channels.
        weights: values of the weight for each pair of channels.
    """

    kind: str
    macs: float
    dims: tuple[int, int]
    read: tuple[int, float]
    written: tuple[int, float]
    weights: float


class Features:
    """Sizes of what the operations of a candidate work on, vectorised over candidates.

    Args:
        coupling: coupling groups, with the operations of the forward pass.
        shapes: shape of every parameter, by name.
        geometry: of the convolutions, by name.
    """

    def __init__(
        self, coupling: Coupling, shapes: Mapping[str, tuple[int, ...]], geometry: Mapping[str, Geometry]
    ) -> None:
        self._coupling = coupling
        self._rows: dict[Layout | int, int] = {}
        parts = [self._part(operation, shapes, geometry) for operation in coupling.operations]
        self.kinds = [part.kind for part in parts]
        groups = len(coupling.groups)
        self._matrix = np.array(
            [np.zeros(groups) if isinstance(row, int) else row.multiplicity(groups) for row in self._rows]
        )
        self._fixed = np.array(
            [row if isinstance(row, int) else int((row.group < 0).sum()) for row in self._rows], dtype=np.float64
        )
        self._dims = np.array([part.dims for part in parts], dtype=np.int64).reshape(-1, 2)
        self._read, self._written = (
            np.array([index for index, _ in ends], dtype=np.int64)
            for ends in ([part.read for part in parts], [part.written for part in parts])
        )
        self._factors = np.array(
            [(part.macs, part.read[1], part.written[1], part.weights) for part in parts], dtype=np.float64
        ).reshape(-1, 4)

    def _row(self, layout: Layout | int) -> int:
        """The row of sizes of a dimension; an integer is one that never shrinks."""
        return self._rows.setdefault(layout, len(self._rows))

    def _part(
        self, operation: Operation, shapes: Mapping[str, tuple[int, ...]], geometry: Mapping[str, Geometry]
    ) -> _Part:
        name = f"{operation.layer}.weight" if operation.layer else "weight"
        shape, axes = shapes.get(name, ()), dict(self._coupling.axes.get(name, ()))
        if len(shape) < 2:  # attention, or a product of two activations
            rows = [self._row(layout) for layout in operation.layouts[:2]]
            sizes = float(np.prod([len(layout.group) for layout in operation.layouts[:2]]))
            one = self._row(1)
            return _Part("product", operation.macs / sizes, (*rows, one, one)[:2], (one, 0.0), (one, 0.0), 0.0)  # type: ignore[arg-type]
        form = geometry.get(operation.layer, Geometry())
        first, second = (self._row(axes.get(dim, shape[dim])) for dim in (0, 1))
        depthwise = form.conv_groups > 1 and shape[1] == 1
        positions, window = operation.macs / float(np.prod(shape)), float(np.prod(shape[2:]))
        reads, writes = positions * form.stride, positions
        read, written = second, first
        if form.transposed:
            reads, writes, read, written = positions, positions * form.stride, first, second
        kind = "linear" if len(shape) == 2 else "pointwise" if window == 1 else "spatial"
        if depthwise:
            kind, read, written = "depthwise", first, first
        elif form.conv_groups > 1:
            reads, writes = (
                (reads, writes * form.conv_groups) if form.transposed else (reads * form.conv_groups, writes)
            )
        return _Part(kind, positions * window, (first, second), (read, reads), (written, writes), window)

    def _sizes(self, counts: Ints) -> Floats:
        sizes: Floats = counts @ self._matrix.T + self._fixed
        return sizes

    def blocks(self, counts: Ints, step: int) -> Floats:
        """Six features of each operation, in blocks: MACs, values read, written, of the weight, read and written oddly.

        Args:
            counts: (..., G) int64.
            step: number of channels that the device computes together. MACs are those of sizes rounded up to it; a
                tensor whose channels are no multiple of it is read or written oddly.

        Returns:
            (..., 6 P) float64.
        """
        sizes = self._sizes(counts)
        # a dimension of one channel a conv group is not padded
        stepped = np.where(sizes > 1, np.ceil(sizes / step) * step, sizes)
        odd = stepped != sizes
        reads = sizes[..., self._read] * self._factors[:, 1]
        writes = sizes[..., self._written] * self._factors[:, 2]
        return np.concatenate(
            [
                stepped[..., self._dims].prod(axis=-1) * self._factors[:, 0],
                reads,
                writes,
                sizes[..., self._dims].prod(axis=-1) * self._factors[:, 3],
                reads * odd[..., self._read],
                writes * odd[..., self._written],
            ],
            axis=-1,
        )

    def missed(self, counts: Ints, cache: float) -> Floats:
        """Values of each operation's weight that a cache does not hold from one pass to the next.

        A pass reads all weights in turn. While they fit the cache, they stay there; once they do not, those that are
        read first have gone by the time that they are wanted again, and soon all have (Denning, 1968, on thrashing).

        Args:
            counts: (..., G) int64.
            cache: values of weights that it holds.

        Returns:
            (..., P) float64.
        """
        weights: Floats = self._sizes(counts)[..., self._dims].prod(axis=-1) * self._factors[:, 3]
        total = weights.sum(axis=-1, keepdims=True)
        missed: Floats = weights * np.clip((total / cache - 1) / THRASHING, 0, 1)
        return missed

    def sums(self, by: Grouping) -> Floats:
        """(6 P, F) of 0 and 1, the sums of the blocks that a fit has a coefficient for.

        Args:
            by: `kind` sums over operations of one kind; `layer` has the MACs, reads and writes of each in addition.
        """
        kinds = list(dict.fromkeys(self.kinds))
        of_kind = np.array([[float(kind == own) for kind in kinds] for own in self.kinds]).reshape(-1, len(kinds))
        summed = np.kron(np.eye(6), of_kind)
        if by == "kind":
            return summed
        alone = np.eye(6 * len(self.kinds))[:, : 3 * len(self.kinds)]
        return np.concatenate([summed, alone], axis=1)
