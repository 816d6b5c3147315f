"""P-, R- and O-Net of `facenet-pytorch` with their own weights, and the boxes that P-Net proposes.

The three stages of MTCNN (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", 2016). P-Net is run on photographs of several sizes; each position of its maps is a square of 12 pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import nms

from bench.accuracy import photographs

WHEEL = "facenet-pytorch==2.6.0"
CELL, STRIDE = 12, 2
SMALLEST, STEP = 20, 0.709
"""Pixels of the smallest face, and the factor between two sizes of a photograph: the defaults of the package."""
LIKELY, OVERLAP = 0.6, 0.5
"""Probability of a position that proposes a box, and the overlap at which one box suppresses another."""


def stages(work: Path) -> dict[str, nn.Module]:
    """The networks, in evaluation mode."""
    folder = work / "facenet-pytorch"
    if not folder.is_dir():
        photographs.install(WHEEL, folder)
    sys.path.insert(0, str(folder))
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    found = {}
    for name, make in (("P-Net", PNet), ("R-Net", RNet), ("O-Net", ONet)):
        model = make(pretrained=False)
        file = folder / "facenet_pytorch" / "data" / f"{name.replace('-', '').lower()}.pt"
        model.load_state_dict(torch.load(file, weights_only=True))
        found[name] = model.eval()
    return found


def as_input(picture: Image.Image) -> Tensor:
    """(3, H, W) float32, from -1 to 1, as the networks were trained."""
    return torch.from_numpy((np.asarray(picture, dtype=np.float32) - 127.5) / 128).permute(2, 0, 1)


def pyramid(picture: Image.Image) -> Iterator[tuple[float, Tensor]]:
    """Scales, and the photograph at each (1, 3, H, W)."""
    scale = CELL / SMALLEST
    while min(picture.size) * scale >= CELL:
        size = [max(CELL, round(side * scale)) for side in picture.size]
        yield scale, as_input(picture.resize(size, Image.Resampling.BILINEAR))[None]
        scale *= STEP


@torch.no_grad()
def proposals(maps: list[tuple[float, Tensor, Tensor]], likely: float = LIKELY) -> Tensor:
    """Boxes (K, 5) of a photograph: left, top, right and bottom in its pixels, and probability.

    Args:
        maps: for each scale, P-Net's boxes (4, H, W) and probabilities (H, W).
        likely: probability of a position that proposes a box.
    """
    found = []
    for scale, boxes, probabilities in maps:
        row, column = (probabilities >= likely).nonzero(as_tuple=True)
        corner = (STRIDE * torch.stack([column, row], 1) + 1) / scale
        squares = torch.cat([corner, corner + CELL / scale], 1)
        squares = squares + boxes[:, row, column].T * (CELL / scale)
        scores = probabilities[row, column]
        kept = nms(squares, scores, OVERLAP)
        found.append(torch.cat([squares[kept], scores[kept, None]], 1))
    joined = torch.cat(found)
    return joined[nms(joined[:, :4], joined[:, 4], 0.7)]


@torch.no_grad()
def maps_of(pnet: nn.Module, picture: Image.Image) -> list[tuple[float, Tensor, Tensor]]:
    """For each scale, boxes (4, H, W) and probabilities of a face (H, W)."""
    found = []
    for scale, image in pyramid(picture):
        boxes, probabilities = pnet(image)
        found.append((scale, boxes[0], probabilities[0, 1]))
    return found


def crops(pnet: nn.Module, pictures: list[Image.Image], size: int, each: int, likely: float) -> Tensor:
    """What R-Net (24) or O-Net (48) sees: the most likely proposals of each photograph, (N, 3, size, size)."""
    found = []
    for picture in pictures:
        boxes = proposals(maps_of(pnet, picture), likely)[:each]
        for left, top, right, bottom, _ in boxes.tolist():
            side, x, y = max(right - left, bottom - top), (left + right) / 2, (top + bottom) / 2
            box = [round(value) for value in (x - side / 2, y - side / 2, x + side / 2, y + side / 2)]
            found.append(as_input(picture.crop(box).resize((size, size), Image.Resampling.BILINEAR)))
    return torch.stack(found)
