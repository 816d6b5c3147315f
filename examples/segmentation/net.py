"""A small U-Net: four levels, joined by concatenation."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def convolution(channels_in: int, channels: int) -> nn.Sequential:
    """3x3, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


class UNet(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes, H, W) of every pixel; H and W are multiples of 8."""

    def __init__(self, widths: Sequence[int] = (8, 16, 32, 64), in_channels: int = 1, num_classes: int = 4) -> None:
        super().__init__()
        steps = pairwise((in_channels, *widths))
        self.down = nn.ModuleList(nn.Sequential(convolution(a, b), convolution(b, b)) for a, b in steps)
        self.pool = nn.MaxPool2d(2)
        pairs = list(pairwise(widths))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairs)
        self.join = nn.ModuleList(convolution(2 * fine, fine) for fine, _ in pairs)
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = []
        for down in self.down:
            x = down(self.pool(x) if levels else x)
            levels.append(x)
        for up, join, fine in zip(self.up, self.join, levels[-2::-1], strict=True):
            x = join(torch.cat([up(x), fine], 1))
        return self.head(x)
