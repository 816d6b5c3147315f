"""What the time of a candidate is made of: for each layer its multiplications, and what it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mendsearch.budget.costs import Floats
from mendsearch.coupling.layout import Coupling, Ints, Layout, Operation

STEPS = (1, 8, 16, 32)
"""Numbers of channels that devices compute together; which of them a device has, the fit finds out."""


@dataclass(frozen=True, eq=False)
class _Part:
    """One operation, whose sizes are (input channels, output channels), each a row of the matrix of sizes.

    Attributes:
        kind: `depthwise`, `pointwise`, `spatial`, `linear` or `product`.
        macs: multiply-accumulates for each input times output channel, or of all where it is a product.
        dims: rows of the sizes that it is in proportion to.
        reads: row of its input channels, or None; and the number of values of each.
        writes: likewise, of its output channels.
        weights: values of the weight for each pair of channels.
    """

    kind: str
    macs: float
    dims: tuple[int, ...]
    read: int | None
    reads: float
    written: int | None
    writes: float
    weights: float


class Features:
    """Features of candidates, from which their time is fitted.

    Args:
        coupling: coupling groups, with the operations of the forward pass.
        shapes: shape of every parameter, by name.
    """

    def __init__(self, coupling: Coupling, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.coupling, self._rows = coupling, dict[Layout | int, int]()
        self._matrix: list[Ints] = []
        self._fixed: list[int] = []
        self._parts = [self._part(operation, shapes) for operation in coupling.operations]

    def _row(self, layout: Layout | int) -> int:
        """The row of a layout, or of a dimension that never shrinks."""
        if layout not in self._rows:
            self._rows[layout] = len(self._matrix)
            count = len(self.coupling.groups)
            whole = isinstance(layout, int)
            self._matrix.append(np.zeros(count, dtype=np.int64) if whole else layout.multiplicity(count))  # type: ignore[union-attr]
            self._fixed.append(layout if isinstance(layout, int) else int((layout.group < 0).sum()))
        return self._rows[layout]

    def _part(self, operation: Operation, shapes: Mapping[str, tuple[int, ...]]) -> _Part:
        name = f"{operation.layer}.weight" if operation.layer else "weight"
        shape, axes = shapes.get(name, ()), dict(self.coupling.axes.get(name, ()))
        if len(shape) < 2:
            sizes = float(np.prod([len(layout.group) for layout in operation.layouts]))
            dims = tuple(self._row(layout) for layout in operation.layouts)
            return _Part("product", operation.macs / sizes, dims, None, 0.0, None, 0.0, 0.0)
        outer, inner = (self._row(axes.get(dim, shape[dim])) for dim in (0, 1))
        depthwise = len(shape) > 2 and shape[1] == 1 and shape[0] > 1
        positions = operation.macs / float(np.prod(shape))
        window = float(np.prod(shape[2:]))
        kind = "linear" if len(shape) == 2 else "depthwise" if depthwise else "pointwise" if window == 1 else "spatial"
        dims = (outer,) if depthwise else (outer, inner)
        return _Part(
            kind, positions * window, dims, outer if depthwise else inner, positions, outer, positions, window
        )

    def of(self, counts: Ints, step: int, *, by: str) -> Floats:
        """Features of candidates.

        Args:
            counts: (..., G) int64.
            step: number of channels that the device computes together; sizes are rounded up to it.
            by: `kind`, for features summed over layers of one kind; `layer`, for those of each layer by itself too.

        Returns:
            (..., F) float64; the first is 1, the cost of a call.
        """
        sizes = counts @ np.array(self._matrix).T + np.array(self._fixed)
        stepped = -(-sizes // step) * step
        columns: dict[str, Floats] = {}

        def add(name: str, value: Floats) -> None:
            columns[name] = columns.get(name, 0.0) + value

        odd = (stepped != sizes).astype(np.float64)
        for number, part in enumerate(self._parts):
            macs = part.macs * stepped[..., list(part.dims)].prod(axis=-1).astype(np.float64)
            names = [part.kind] if by == "kind" else [part.kind, f"{part.kind} {number}"]
            for name in names:
                add(f"macs {name}", macs)
            if part.read is None or part.written is None:
                continue
            reads = part.reads * sizes[..., part.read]
            writes = part.writes * sizes[..., part.written]
            weights = part.weights * sizes[..., list(part.dims)].prod(axis=-1)
            for name in names:
                add(f"reads {name}", reads)
                add(f"writes {name}", writes)
            add(f"weights {part.kind}", weights)
            add(f"odd reads {part.kind}", reads * odd[..., part.read])
            add(f"odd writes {part.kind}", writes * odd[..., part.written])
        ones = np.ones(counts.shape[:-1])
        return np.stack([ones, *(np.broadcast_to(column, ones.shape) for column in columns.values())], axis=-1)
