"""Networks that read other things than one tensor of images, and data for them: five classes, 64 items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from mendsearch import Batch, DataSource

ITEMS, CLASSES = 64, 5
_DRAWN = torch.Generator().manual_seed(0)
IMAGES = torch.randn(ITEMS, 3, 12, 12, generator=_DRAWN)
NOTES = torch.randn(ITEMS, 7, generator=_DRAWN)
TOKENS = torch.randint(0, 50, (ITEMS, 20), generator=_DRAWN)
MASK = torch.rand(ITEMS, 20, generator=_DRAWN) > 0.3
LABELS = torch.arange(ITEMS) % CLASSES
RAGGED = [image[:, : 12 - index % 4] for index, image in enumerate(IMAGES)]


def convolutions() -> nn.Sequential:
    """Images -> (N, 16)."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def classifier() -> nn.Sequential:
    """Images -> logits."""
    return convolutions().append(nn.Linear(16, CLASSES))


def frames() -> nn.Sequential:
    """(N, 1024) -> logits."""
    return nn.Sequential(
        nn.Linear(1024, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, CLASSES)
    )


def sound() -> nn.Sequential:
    """Raw sound (N, 1, T) -> logits of keywords."""
    return nn.Sequential(
        nn.Conv1d(1, 8, 9, 4), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 16, 5, 2), nn.BatchNorm1d(16), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip


def volumes() -> nn.Sequential:
    """(N, 1, D, H, W) -> logits."""
    return nn.Sequential(
        nn.Conv3d(1, 8, 3), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 12, 3), nn.ReLU(),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(12, CLASSES),
    )  # fmt: skip


class Text(nn.Module):
    """Token ids (N, T) int64, and a mask (N, T) bool -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.conv1, self.conv2 = nn.Conv1d(16, 24, 3, padding=1), nn.Conv1d(24, 24, 3)
        self.fc = nn.Linear(24, CLASSES)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(ids).transpose(1, 2)
        x = x if mask is None else x * mask[:, None]
        return self.fc(self.conv2(self.conv1(x).relu()).relu().amax(2))


class Two(nn.Module):
    """An image and notes on it (N, 7) -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.notes, self.fc = convolutions(), nn.Linear(7, 10), nn.Linear(26, CLASSES)

    def forward(self, image: Tensor, notes: Tensor) -> Tensor:
        return self.fc(torch.cat([self.body(image), self.notes(notes).relu()], 1))


class Listed(nn.Module):
    """A list of images of any size, as torchvision's detectors take them -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = convolutions(), nn.Linear(16, CLASSES)

    def forward(self, images: list[Tensor]) -> Tensor:
        assert isinstance(images, list)
        height = max(image.shape[1] for image in images)
        padded = [nn.functional.pad(image, (0, 0, 0, height - image.shape[1])) for image in images]
        return self.fc(self.body(torch.stack(padded)))


class Items(Dataset[Any]):
    """What a function gives for each index."""

    def __init__(self, give: Any, count: int = ITEMS) -> None:
        self._give, self._count = give, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._give(index)


class Stream(IterableDataset[Any]):
    """Whole batches of images and labels, which a loader with `batch_size=None` passes on; counts those it gave."""

    def __init__(self, size: int = 16) -> None:
        self.size, self.given = size, 0

    def __iter__(self) -> Any:
        for images, labels in zip(IMAGES.split(self.size), LABELS.split(self.size), strict=True):
            self.given += 1
            yield images, labels


def two_inputs() -> DataSource:
    """Items of (image, notes, label), which only `apart` takes apart."""
    data = Items(lambda index: (IMAGES[index], NOTES[index], int(LABELS[index])))
    return DataSource(data, data, num_classes=CLASSES)


def apart(batch: Any) -> tuple[Batch, Tensor]:
    """Inputs by position and by keyword, and labels."""
    images, notes, labels = batch
    return Batch(images, notes=notes), labels
