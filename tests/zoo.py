"""Small networks, one for each way in which channels hang together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mendsearch.models.resnet import ResNet
from mendsearch.modes import averaging


def conv(channels_in: int, channels: int, kernel: int = 3, **kwargs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False, **kwargs),  # type: ignore[arg-type]
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Flattened(nn.Module):
    """Convolutions with a bias and no norm, flattened into two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(8 * 4 * 4, 12)
        self.fc2 = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Depthwise(nn.Module):
    """An inverted residual: expansion, depthwise, projection, residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 6)
        self.expand = conv(6, 12, 1)
        self.depthwise = conv(12, 12, 3, groups=12)
        self.project = nn.Sequential(nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        return self.fc(x.mean((2, 3)))


class Concatenated(nn.Module):
    """A dense block: norms and convolutions over growing concatenations, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 5, 3, padding=1, bias=False)
        self.fc = nn.Linear(15, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(torch.relu(self.norm2(x)))], 1)
        return self.fc(torch.relu(x).mean((2, 3)))


class Grouped(nn.Module):
    """A convolution with two convolution groups between 1x1 convolutions, as in ResNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.middle = conv(8, 8, 3, groups=2)
        self.last = conv(8, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.middle(self.stem(x))).mean((2, 3)))


class Split(nn.Module):
    """Two halves of one convolution's channels, one a gate for the other: they can only go in pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.last = conv(4, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.stem(x).chunk(2, 1)
        return self.fc(self.last(value * torch.sigmoid(gate)).mean((2, 3)))


class Normed(nn.Module):
    """Group norm, and layer norm over a linear layer's outputs; PReLU with a slope a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.act = nn.PReLU(8)
        self.fc1 = nn.Linear(8, 10)
        self.layer_norm = nn.LayerNorm(10)
        self.fc2 = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.stem(x))).mean((2, 3))
        return self.fc2(torch.relu(self.layer_norm(self.fc1(x))))


class UNet(nn.Module):
    """Classes for every pixel, from two resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse, self.joined = conv(3, 8), conv(8, 12), conv(20, 10)
        self.head = nn.Conv2d(10, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        coarse = nn.functional.interpolate(self.coarse(nn.functional.max_pool2d(fine, 2)), scale_factor=2.0)
        return self.head(self.joined(torch.cat([fine, coarse], 1)))


class Head(nn.Module):
    """Convolutions and a linear layer whose outputs take any form."""

    def __init__(self, outputs: int, form: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 8), conv(8, 12))
        self.fc, self.form = nn.Linear(12, outputs), form

    def forward(self, x: Tensor) -> object:
        return self.form(4 * self.fc(self.features(x).mean((2, 3))))


def two_heads(values: Tensor) -> dict[str, object]:
    """Classes and boxes, and a tensor that is no output of items."""
    return {"classes": values[:, :5], "boxes": [values[:, 5:]], "anchors": torch.ones(7, 4)}


def boxes(values: Tensor) -> list[dict[str, Tensor]]:
    """Up to three boxes for every image, those with a score above a threshold."""
    found = []
    for candidates in values.view(-1, 3, 5):
        kept = candidates[candidates[:, 4].sigmoid() > 0.4]
        corners = 10 * kept[:, :2]
        sizes = 10 + 5 * kept[:, 2:4].sigmoid()
        found.append({"boxes": torch.cat([corners, corners + sizes], 1), "scores": kept[:, 4].sigmoid()})
    return found


OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "pixels": UNet,
    "two heads": lambda: Head(9, two_heads),
    "one logit": lambda: Head(1, lambda values: values.squeeze(1)),
    "sigmoid": lambda: Head(1, torch.sigmoid),
    "embedding": lambda: Head(16, lambda values: nn.functional.normalize(values, dim=1)),
    "regression": lambda: Head(1, lambda values: 50 + 40 * values),
}
"""Networks that are no classifiers, by what they give."""


def residual() -> nn.Module:
    return ResNet(depth=8, width=4, in_channels=3, num_classes=4)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": residual,
    "flattened": Flattened,
    "depthwise": Depthwise,
    "concatenated": Concatenated,
    "grouped": Grouped,
    "split": Split,
    "normed": Normed,
}
IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(7))


def build(name: str, seed: int = 0) -> nn.Module:
    """One of `NETWORKS` or `OUTPUTS` in evaluation mode, with norms that have seen images and weights that differ."""
    torch.manual_seed(seed)
    model = (NETWORKS | OUTPUTS)[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.reset_running_stats()
    with torch.no_grad(), averaging(model):
        model(IMAGES)
    return model.eval()
