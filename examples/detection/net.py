"""A small single-stage detector: for each cell of a grid, logits of the classes and a box."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

STRIDE = 8
"""Pixels of a cell's side."""


def convolution(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """3x3, batch norm, ReLU."""
    layer = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.body(x)).relu()


class Detector(nn.Module):
    """(N, in_channels, H, W) -> maps of H / 8 x W / 8 cells: `classes` (N, num_classes, …), `boxes` (N, 4, …).

    `classes` are logits of independent decisions. `boxes` are the distances from the middle of a cell to the left, top,
    right and bottom of the object whose centre is in the cell, in cells.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64), in_channels: int = 1, num_classes: int = 3) -> None:
        super().__init__()
        steps = pairwise((in_channels, *widths))
        self.backbone = nn.Sequential(*(nn.Sequential(convolution(a, b, 2), Block(b)) for a, b in steps))
        self.neck = convolution(widths[-1], widths[-1])
        self.classes = nn.Conv2d(widths[-1], num_classes, 1)
        self.boxes = nn.Conv2d(widths[-1], 4, 1)
        nn.init.constant_(self.classes.bias, -4.0)  # most cells hold nothing
        nn.init.constant_(self.boxes.bias, 1.0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = self.neck(self.backbone(images))
        return {"classes": self.classes(found), "boxes": self.boxes(found)}
