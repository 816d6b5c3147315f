"""A small network with a residual sum around a depthwise convolution, and a concatenation."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection, and the residual sum (an inverted residual)."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.body = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ShapesNet(nn.Module):
    """(N, 1, 16, 16) -> (N, num_classes)."""

    def __init__(self, width: int = 16, num_classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.block1 = Block(width, expansion=3)
        self.block2 = Block(width, expansion=3)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        early = self.block1(self.stem(x))
        late = self.block2(early)
        both = torch.cat([early, late], 1)
        return self.head(both.mean((2, 3)))


def make_network(width: int = 16, num_classes: int = 4) -> nn.Module:
    """The network that the spec names."""
    return ShapesNet(width, num_classes)
