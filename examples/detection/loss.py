"""The loss of the detector."""

import torch
from torch import Tensor
from torch.nn import functional

from examples.detection.net import STRIDE

BOXES = 2.0
"""Weight of the boxes."""


def loss(outputs: dict[str, Tensor], objects: Tensor) -> Tensor:
    """Cross-entropy of the classes of all cells, and the L1 distance of the boxes of those that hold an object.

    Args:
        outputs: of the network.
        objects: (N, M, 5), boxes in pixels with their classes, -1 for those that are not there.
    """
    classes, boxes = outputs["classes"], outputs["boxes"]
    image, index = (objects[:, :, 4] >= 0).nonzero(as_tuple=True)
    corners, kinds = objects[image, index, :4] / STRIDE, objects[image, index, 4].long()
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    x, y = centres.long().unbind(1)
    wanted = torch.zeros_like(classes)
    wanted[image, kinds, y, x] = 1
    middle = torch.stack([x, y], 1) + 0.5
    distances = torch.cat([middle - corners[:, :2], corners[:, 2:] - middle], 1)
    right = functional.binary_cross_entropy_with_logits(classes, wanted, reduction="sum") / len(image)
    return right + BOXES * functional.l1_loss(boxes[image, :, y, x], distances)
