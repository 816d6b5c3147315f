"""What the dense network does with the calibration items, to which reconstruction in sequence fits a pruned one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.modes import evaluating, run_one
from mendsearch.reconstruction.branches import Branches, Tip
from mendsearch.reconstruction.norms import NormMoments, recorded
from mendsearch.reconstruction.patches import (
    expected_sizes,
    features_of,
    fittable,
    groups_of,
    outputs_at,
    outputs_of,
    sample_places,
)

LEAST_ROWS = 4096
"""Rows of a layer's regression at the least, where there are as many."""
WIDE = 2048
"""Features from which a layer with fewer rows than features is fitted by its rows."""
MOST_WORK = 4e10
"""Rows times the square of the features of a trial's regression at the most, for each row per feature: 3e11, some ten
seconds of one core, with 8 of them. Rows are left out beyond, as far as `LEAST_ROWS`."""
MOST_BYTES = 2**30
"""Memory of the inputs of one layer's regression at the most; rows are left out beyond."""
ROUNDING = 1e-5
"""Relative difference below which two sums over the same values differ by rounding alone."""
PASS_BYTES = 4 * 2**30
"""Memory of a pass over all items at the most; items are left out beyond."""


@dataclass(frozen=True, eq=False)
class Target:
    """What one layer read and put out in the dense network, over N rows (items, or several for each) and P positions.

    Attributes:
        places: (N, P) int64, output positions.
        outputs: (N P, C_out) float32.
        sizes: (N,) float32, norms of its inputs, by which inputs that pruning has not touched are known.
        absorbs_shift: its bias or the batch norm behind it takes up a constant.
        other: (N P, C_out) float32, what its outputs, or those of that batch norm, were added to; None without a sum.
        gain: (C_out,) float32, the factor of that batch norm, ones without one; None without a sum.
    """

    places: Tensor
    outputs: Tensor
    sizes: Tensor
    absorbs_shift: bool
    other: Tensor | None = None
    gain: Tensor | None = None

    def untouched(self, inputs: Tensor) -> bool:
        """Whether the layer reads what it read in the dense network, to rounding; mostly the first row tells."""
        return all(
            torch.allclose(sizes_of(inputs[:rows]), self.sizes[:rows], rtol=ROUNDING, atol=0.0)
            for rows in (1, len(inputs))
        )


def sizes_of(inputs: Tensor) -> Tensor:
    """(N,) float64, the Euclidean norm of every row's values."""
    found: Tensor = torch.linalg.vector_norm(inputs, dim=tuple(range(1, inputs.dim())), dtype=torch.float64)
    return found


@dataclass(frozen=True, eq=False)
class Dense:
    """What the dense network does with the calibration items.

    Attributes:
        targets: by layer.
        norms: moments of the batch norms' inputs, by norm.
        items: how many there are.
    """

    targets: Mapping[str, Target]
    norms: NormMoments
    items: int


@torch.no_grad()
def dense_targets(
    model: nn.Module, forward: Callable[[], object], items: int, rows_per_feature: int, passes: int = 1
) -> Dense:
    """Targets of every layer that can be fitted, and moments of every batch norm, in one forward pass.

    Left out, and kept as they are: layers that run more than once or not at all, weights that are computed (a
    parametrisation), layers that do not give as many rows for each item, and transposed convolutions that are told
    their output size.

    Args:
        model: the dense network; not changed.
        forward: runs it once on all items, in the very way in which pruned networks will be run.
        items: how many there are.
        rows_per_feature: positions are sampled so that a layer has that many rows for each input feature.
        passes: over how many passes like this one.
    """
    generator = torch.Generator().manual_seed(0)
    targets: dict[str, Target] = {}
    left_out: set[str] = set()
    sizes: dict[str, Tensor] = {}
    expected: dict[str, tuple[int, ...] | None] = {}

    def read(layer: str, module: nn.Module, inputs: Tensor) -> None:
        sizes[layer], expected[layer] = sizes_of(inputs), expected_sizes(module, inputs)

    def output(tip: Tip) -> None:
        other_size = expected[tip.layer] not in (None, tuple(tip.outputs.shape[2:]))
        if tip.layer in targets or other_size or not _by_items(tip.outputs, items):
            left_out.add(tip.layer)
            return
        features, groups = features_of(tip.module), groups_of(tip.module)
        rows = min(rows_per_feature * features, int(MOST_WORK * rows_per_feature / features**2))
        rows = max(LEAST_ROWS, rows) // passes
        rows = min(rows, MOST_BYTES // (4 * features * groups))
        places = sample_places(tip.module, tip.outputs, -(-rows // len(tip.outputs)), generator)
        outputs = outputs_at(tip.module, tip.outputs, places).float()
        targets[tip.layer] = Target(places, outputs, sizes[tip.layer], tip.module.bias is not None)

    def norm(tip: Tip) -> None:
        if tip.layer not in targets:
            return
        targets[tip.layer] = replace(targets[tip.layer], absorbs_shift=True)

    def meet(tip: Tip, other: Tensor) -> Tensor:
        target = targets.get(tip.layer)
        if target is None:
            return tip.outputs
        found = outputs_at(tip.module, other, target.places).float()
        targets[tip.layer] = replace(target, other=found, gain=_gain(tip, found))
        return tip.outputs

    branches = Branches(model, list(fittable(model)), on_input=read, on_sum=meet, on_output=output, on_norm=norm)
    with evaluating(model), recorded(model) as norms, branches:
        forward()
    return Dense({name: target for name, target in targets.items() if name not in left_out}, norms, items)


def _by_items(outputs: Tensor, items: int) -> bool:
    """Whether rows are of the items, of which several may follow each other, or each stand along the second axis.

    Others, such as the proposals of a detector, are not the same ones in two networks.
    """
    return len(outputs) % items == 0 or (outputs.dim() > 2 and outputs.shape[1] == items)


def affordable(model: nn.Module, inputs: Batch) -> int:
    """How many items one forward pass of the dense network takes within `PASS_BYTES`.

    Three times the largest inputs and outputs of a layer is what a network with residual sums holds at once.
    """
    largest = 1

    def measure(name: str, module: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        nonlocal largest
        largest = max(largest, inputs[0].numel() + outputs.numel())

    run_one(model, inputs, fittable(model), measure)
    return max(2, PASS_BYTES // (3 * 4 * largest))


def _gain(tip: Tip, like: Tensor) -> Tensor:
    if tip.norm is None or tip.norm.running_var is None:
        return like.new_ones(outputs_of(tip.module))
    gain = (tip.norm.running_var + tip.norm.eps).rsqrt()
    return (gain if tip.norm.weight is None else gain * tip.norm.weight).float()
