"""What the layers of the dense network put out, at sampled positions: the targets of reconstruction in sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mendsearch.modes import evaluating
from mendsearch.reconstruction.branches import Branches, Tip
from mendsearch.reconstruction.patches import can_be_fitted, features_of, outputs_at, sample_places, weight_of

LEAST_ROWS = 4096
"""Rows of a layer's regression at the least, where there are as many."""
MOST_BYTES = 2**30
"""Memory of the inputs of one layer's regression at the most; rows are left out beyond."""
PASS_BYTES = 4 * 2**30
"""Memory of a pass over all images at the most; images are left out beyond."""


@dataclass(frozen=True, eq=False)
class Target:
    """What one layer put out in the dense network, over N images and P positions.

    Attributes:
        places: (N, P) int64, output positions.
        outputs: (N P, C_out) float32.
        absorbs_shift: its bias or the batch norm behind it takes up a constant.
        other: (N P, C_out) float32, what its outputs, or those of that batch norm, were added to; None without a sum.
        gain: (C_out,) float32, the factor of that batch norm, ones without one; None without a sum.
    """

    places: Tensor
    outputs: Tensor
    absorbs_shift: bool
    other: Tensor | None
    gain: Tensor | None


class _Record:
    """What is collected of one layer."""

    def __init__(self) -> None:
        self.places: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.others: list[Tensor] = []
        self.gain: Tensor | None = None
        self.absorbs_shift = False


@torch.no_grad()
def dense_targets(
    model: nn.Module,
    images: Tensor,
    rows_per_feature: int,
    batch_size: int,
) -> dict[str, Target]:
    """Targets of every layer that can be fitted, by name, in one pass over the images.

    Left out, and kept as they are: transposed convolutions, layers that run more than once or not at all, and weights
    that are computed (a parametrisation).

    Args:
        model: the dense network; not changed.
        images: (N, C, H, W) float32.
        rows_per_feature: positions are sampled so that a layer has that many rows for each input feature.
        batch_size: images a forward pass.
    """
    generator = torch.Generator().manual_seed(0)
    records: dict[str, _Record] = {}
    repeated: set[str] = set()
    device = next(model.parameters()).device
    batch: int = 0

    def output(tip: Tip) -> None:
        record = records.setdefault(tip.layer, _Record())
        if len(record.places) == batch:
            features, groups = features_of(tip.module), int(getattr(tip.module, "groups", 1))
            rows = min(max(LEAST_ROWS, rows_per_feature * features), MOST_BYTES // (4 * features * groups))
            places = sample_places(tip.module, tip.outputs, -(-rows // len(images)), generator)
            record.places.append(places)
            record.outputs.append(outputs_at(tip.module, tip.outputs, places))
            record.absorbs_shift = tip.module.bias is not None
        else:
            repeated.add(tip.layer)

    def norm(tip: Tip) -> None:
        records[tip.layer].absorbs_shift = True

    def meet(tip: Tip, other: Tensor) -> Tensor:
        record = records[tip.layer]
        record.others.append(outputs_at(tip.module, other, record.places[-1]))
        record.gain = _gain(tip, other)
        return tip.outputs

    layers = [name for name, module in model.named_modules() if can_be_fitted(module)]
    branches = Branches(model, layers, on_sum=meet, on_output=output, on_norm=norm)
    with evaluating(model), branches:
        for part in images.split(batch_size):
            model(part.to(device))
            batch += 1
    return {name: _target(record, batch) for name, record in records.items() if name not in repeated}


@torch.no_grad()
def affordable(model: nn.Module, images: Tensor) -> int:
    """How many of the images (N, C, H, W) one forward pass of the dense network takes within `PASS_BYTES`.

    Three times the largest inputs and outputs of a layer is what a network with residual sums holds at once.
    """
    largest = 1

    def measure(module: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        nonlocal largest
        largest = max(largest, inputs[0].numel() + outputs.numel())

    hooks = [module.register_forward_hook(measure) for module in model.modules() if can_be_fitted(module)]
    try:
        with evaluating(model):
            model(images[:1].to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return max(2, PASS_BYTES // (3 * 4 * largest))


def _gain(tip: Tip, like: Tensor) -> Tensor:
    if tip.norm is None or tip.norm.running_var is None:
        return like.new_ones(weight_of(tip.module).shape[0])
    gain = (tip.norm.running_var + tip.norm.eps).rsqrt()
    return gain if tip.norm.weight is None else gain * tip.norm.weight


def _target(record: _Record, batches: int) -> Target:
    met = len(record.others) == batches
    return Target(
        torch.cat(record.places),
        torch.cat(record.outputs),
        record.absorbs_shift,
        torch.cat(record.others) if met else None,
        record.gain if met else None,
    )
