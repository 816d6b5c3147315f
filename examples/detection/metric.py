"""From the detector's maps to boxes, and the score of a candidate: average precision."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from examples.detection.net import STRIDE

LEAST, OVERLAP, MATCH = 0.05, 0.5, 0.5
"""Probability of a box that counts; overlaps (IoU) at which one box suppresses another, and finds an object."""


def average_precision(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """For each image, the average precision at an IoU of 0.5, the mean over the classes on it (N,)."""
    images, objects = batch
    found = decode(model(images))
    return torch.tensor([mean_average_precision([one], [these]) for one, these in zip(found, objects, strict=True)])


def decode(outputs: dict[str, Tensor]) -> list[Tensor]:
    """For each image (K, 6): left, top, right and bottom in pixels, probability and class; the most likely first."""
    probabilities = outputs["classes"].sigmoid()
    rows, columns = probabilities.shape[2:]
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    left, top, right, bottom = outputs["boxes"].unbind(1)
    corners = STRIDE * torch.stack([x - left, y - top, x + right, y + bottom], 3)
    found = []
    for likely, boxes in zip(probabilities, corners, strict=True):
        kinds, row, column = (likely > LEAST).nonzero(as_tuple=True)
        scores, boxes = likely[kinds, row, column], boxes[row, column]
        kept = batched_nms(boxes, scores, kinds, OVERLAP)
        found.append(torch.cat([boxes[kept], scores[kept, None], kinds[kept, None]], 1))
    return found


def mean_average_precision(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The mean, over the classes that are wanted in some image, of the area below precision over recall.

    Args:
        found: for each image (K, 6), as `decode` gives it.
        wanted: for each image (M, 5), boxes in pixels with their classes.
    """
    areas = []
    for kind in torch.cat(list(wanted))[:, 4].unique().tolist():
        if kind < 0:
            continue
        pairs = zip(found, wanted, strict=True)
        hits = [_hits(boxes[boxes[:, 5] == kind], there[there[:, 4] == kind]) for boxes, there in pairs]
        scores = torch.cat([boxes[boxes[:, 5] == kind, 4] for boxes in found])
        right = torch.cat(hits)[scores.argsort(descending=True, stable=True)].cumsum(0)
        count = sum(int((there[:, 4] == kind).sum()) for there in wanted)
        precision = right / torch.arange(1, len(right) + 1)
        best = precision.flip(0).cummax(0).values.flip(0)
        areas.append(float((best * right.diff(prepend=torch.zeros(1))).sum()) / count)
    return sum(areas) / len(areas)


def _hits(boxes: Tensor, there: Tensor) -> Tensor:
    """Which boxes (K,), the most likely first, find an object that none before them found; 1 or 0."""
    overlaps, hits = box_iou(boxes[:, :4], there[:, :4]), torch.zeros(len(boxes))
    for index in range(len(boxes) if len(there) else 0):
        best = int(overlaps[index].argmax())
        if overlaps[index, best] >= MATCH:
            hits[index], overlaps[:, best] = 1, 0
    return hits
