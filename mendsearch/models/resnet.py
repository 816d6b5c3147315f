"""CIFAR-style residual networks (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mendsearch.errors import ModelError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual sum; a 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of basic blocks with 1, 2 and 4 times `width` channels, global average pooling, and a linear head.

    Args:
        depth: number of layers, 6n + 2 for n blocks per stage: 8, 14, 20, 32, 44, 56, 110.
        width: number of channels of the first stage.
        in_channels: number of channels of an image.
        num_classes: number of outputs.

    Raises:
        ModelError: `depth` is not 6n + 2, or a size is below 1.
    """

    def __init__(self, depth: int = 20, width: int = 16, in_channels: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ModelError(f"residual network: got depth={depth}, expected 6n + 2, such as 8, 14, 20, 32, 56")
        if min(width, in_channels, num_classes) < 1:
            raise ModelError(
                f"residual network: got width={width}, in_channels={in_channels}, num_classes={num_classes}, "
                f"expected 1 or more"
            )
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, channels_in = (depth - 2) // 6, width
        for stage in range(3):
            channels = width * 2**stage
            layers = []
            for block in range(blocks):
                layers.append(BasicBlock(channels_in, channels, stride=2 if stage and not block else 1))
                channels_in = channels
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels_in, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes) logits."""
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        return logits


def cifar_resnet(depth: int = 20, width: int = 16, in_channels: int = 3, num_classes: int = 10) -> ResNet:
    """ResNet-20 by default: 0.27 M parameters."""
    return ResNet(depth, width, in_channels, num_classes)


def digits_resnet(depth: int = 8, width: int = 16, in_channels: int = 1, num_classes: int = 10) -> ResNet:
    """ResNet-8 by default, for the 8x8 images of scikit-learn's digits."""
    return ResNet(depth, width, in_channels, num_classes)
