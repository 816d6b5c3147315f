"""A filter ranking and the statistics that it was made from, as named tensors of one file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mendsearch.ranking.base import FilterRanking
from mendsearch.ranking.statistics import InputStatistics

SCORES, MEAN, COVARIANCE, SENSITIVITY = "scores/", "mean/", "covariance/", "sensitivity/"


def to_tensors(ranking: FilterRanking, statistics: Mapping[str, InputStatistics]) -> dict[str, Tensor]:
    """Scores as `scores/INDEX` of the coupling group, statistics as `mean/LAYER`, `covariance/LAYER`, and, where it is
    known, `sensitivity/LAYER`."""
    tensors = {f"{SCORES}{index}": torch.from_numpy(scores) for index, scores in enumerate(ranking.scores)}
    for layer, found in statistics.items():
        tensors |= {MEAN + layer: found.mean, COVARIANCE + layer: found.covariance}
        if found.sensitivity is not None:
            tensors[SENSITIVITY + layer] = found.sensitivity
    return tensors


def from_tensors(
    tensors: Mapping[str, Tensor], criterion: str, device: torch.device
) -> tuple[FilterRanking, dict[str, InputStatistics]]:
    """The reverse of `to_tensors`.

    Args:
        tensors: tensors by name, on any device.
        criterion: name of the criterion that made the ranking.
        device: where the statistics are placed; scores are NumPy arrays.
    """
    groups = sum(name.startswith(SCORES) for name in tensors)
    scores = tuple(tensors[f"{SCORES}{index}"].cpu().numpy() for index in range(groups))
    layers = [name.removeprefix(MEAN) for name in tensors if name.startswith(MEAN)]

    def placed(name: str) -> Tensor | None:
        return tensors[name].to(device) if name in tensors else None

    statistics = {
        layer: InputStatistics(
            tensors[MEAN + layer].to(device), tensors[COVARIANCE + layer].to(device), placed(SENSITIVITY + layer)
        )
        for layer in layers
    }
    return FilterRanking(criterion, scores), statistics
