"""Images that are drawn, not downloaded: discs, squares, rings and crosses of 16x16 pixels with noise."""

import torch
from torch import Tensor

from mendsearch import ArrayDataset, DataSource

CLASSES = 4
SIZE = 16


def draw(count: int, seed: int) -> ArrayDataset:
    """`count` images (1, 16, 16) of the four shapes at random places and sizes, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    centre = 5 + 6 * torch.rand(count, 2, 1, 1, generator=generator)
    radius = 2 + 3 * torch.rand(count, 1, 1, generator=generator)
    grid = torch.arange(SIZE, dtype=torch.float32)
    dy, dx = grid.view(1, -1, 1) - centre[:, 0], grid.view(1, 1, -1) - centre[:, 1]
    distance, reach = (dy**2 + dx**2).sqrt(), torch.maximum(dy.abs(), dx.abs())
    shapes = torch.stack(
        [
            distance < radius,
            reach < radius,
            (distance < radius) & (distance > radius - 1.5),
            (reach < radius) & ((dy.abs() < 1) | (dx.abs() < 1)),
        ]
    )
    pixels = shapes[labels, torch.arange(count)].float()
    noisy = (0.2 + 0.5 * pixels + 0.2 * torch.randn(count, SIZE, SIZE, generator=generator)).clamp(0, 1)
    return ArrayDataset(as_bytes(noisy)[:, None], labels, mean=[0.3], std=[0.25])


def as_bytes(images: Tensor) -> Tensor:
    """Convert floats in 0-1 to uint8."""
    return (255 * images).round().to(torch.uint8)


def make_data(train: int = 3000, test: int = 1000) -> DataSource:
    """The data set that the spec names."""
    return DataSource(train=draw(train, 0), test=draw(test, 1), num_classes=CLASSES)
