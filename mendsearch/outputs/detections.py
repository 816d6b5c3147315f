"""Detections after suppression: boxes of one item matched with the boxes of another network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mendsearch.outputs.base import Divergence
from mendsearch.outputs.leaves import Detections


class MatchedBoxes(Divergence):
    """One minus a soft F1 of the boxes of an item, matched one to one with those of the dense network.

    A pair of boxes with the same label counts as their intersection over union times the lower of their scores; the
    matching is the one with the highest sum M. With S the sum of all scores, the divergence is 1 - 2 M / S: 0 where all
    detections are equal, 1 where none overlap. Masks and keypoints are not compared.

    It has no gradient, and says nothing of detections below the detector's threshold. Outputs before suppression say
    more, if the network can be made to give them.
    """

    def prepare(self, values: Detections) -> Detections:
        """Boxes, scores and labels, on the CPU."""
        return [
            {
                "boxes": item["boxes"].detach().float().cpu(),
                "scores": item["scores"].detach().float().cpu(),
                "labels": item.get("labels", torch.zeros(len(item["scores"]))).cpu(),
            }
            for item in values
        ]

    def between(self, found: Detections, dense: Detections) -> Tensor:
        return torch.tensor([_distance(*pair) for pair in zip(found, dense, strict=True)], dtype=torch.float32)


def _distance(found: Mapping[str, Tensor], dense: Mapping[str, Tensor]) -> float:
    from scipy.optimize import linear_sum_assignment
    from torchvision.ops import box_iou  # imports torch._dynamo, which takes seconds

    total = float(found["scores"].sum() + dense["scores"].sum())
    if not total:
        return 0.0
    same = dense["labels"][:, None] == found["labels"][None]
    lower = torch.minimum(dense["scores"][:, None], found["scores"][None])
    worth = (box_iou(dense["boxes"], found["boxes"]).nan_to_num() * lower * same).numpy().astype(np.float64)
    matched = float(worth[linear_sum_assignment(worth, maximize=True)].sum())
    return max(0.0, 1 - 2 * matched / total)
