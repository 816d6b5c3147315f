"""From how many calibration items a trial reconstructs, so that no structure gains by leaving regressions few rows.

A layer with a map of one pixel gives one row for each item. Where the late layers of a network are all like that, 256
items overfit them, and trials order structures otherwise than refined weights do (docs/results/ladder.md).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.coupling.layout import Coupling
from mendsearch.modes import run_one
from mendsearch.reconstruction.patches import features_of, fittable, outputs_of, weight_of

STARVED = 0.1
"""Fraction of the coupling groups that may have fewer rows: most networks have a classifier behind global pooling."""


def items_needed(model: nn.Module, coupling: Coupling, inputs: Batch, rows_per_feature: int) -> int:
    """Items from which a consumer of nearly every coupling group gets `rows_per_feature` rows for each input feature.

    Args:
        model: the dense network.
        coupling: its coupling groups.
        inputs: of the calibration items; the first is run.
        rows_per_feature: rows of a layer's regression for each of its input features.
    """
    needs: dict[str, int] = {}

    def count(layer: str, module: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        rows = max(1, outputs.numel() // outputs_of(module))
        needs[layer] = -(-rows_per_feature * _features(module, inputs[0]) // rows)

    run_one(model, inputs, fittable(model), count)
    return _nearly_all(coupling, needs)


def _nearly_all(coupling: Coupling, needs: dict[str, int]) -> int:
    """Items that all groups but `STARVED` of them need; a group needs those of its consumer that needs the fewest."""
    least: dict[int, int] = {}
    for consumer in coupling.consumers:
        for group in set(consumer.inputs.group[consumer.inputs.group >= 0]) if consumer.layer in needs else ():
            least[group] = min(needs[consumer.layer], least.get(group, needs[consumer.layer]))
    sizes = sorted(least.values())
    return sizes[math.ceil((1 - STARVED) * len(sizes)) - 1] if sizes else 1


def _features(module: nn.Module, inputs: Tensor) -> int:
    """Inputs that one output is a sum over, without those that are always padding."""
    kernel, sizes = weight_of(module).shape[2:], inputs.shape[2:]
    if not kernel:
        return features_of(module)
    inside = math.prod(min(length, size) for length, size in zip(kernel, sizes, strict=True))
    return features_of(module) // math.prod(kernel) * inside
