"""Images that are drawn, not downloaded: discs, squares and triangles of 64x64 pixels on a textured, noisy ground."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIZE, OBJECTS = 64, 3
CLASSES = ("disc", "square", "triangle")


@dataclass(frozen=True)
class Drawing:
    """N images, and what is on them. An object may hide a part of an earlier one.

    Attributes:
        images: (N, 1, 64, 64) float32, with a mean near 0.
        masks: (N, 64, 64) int64, for each pixel 0 for ground, or 1 + the class of the object on top.
        boxes: (N, 3, 5) float32, for each object left, top, right and bottom in pixels, and its class; -1 for the class
            of one that is not there.
    """

    images: Tensor
    masks: Tensor
    boxes: Tensor


def draw(count: int, seed: int) -> Drawing:
    """`count` images with one to three objects each, of random places, sizes and shades."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    images = functional.interpolate(uniform(-0.4, 0.4, 1, 9, 9), SIZE, mode="bicubic")[:, 0]
    masks, boxes = torch.zeros(count, SIZE, SIZE, dtype=torch.long), torch.zeros(count, OBJECTS, 5)
    grid = torch.arange(SIZE) + 0.5
    there = torch.randint(1, OBJECTS + 1, (count,), generator=generator)
    for index in range(OBJECTS):
        radius, kinds = uniform(5, 11), torch.randint(0, len(CLASSES), (count,), generator=generator)
        centre = 11 + uniform(0, SIZE - 22, 2)
        dx, dy = grid.view(1, 1, -1) - centre[:, 0].view(-1, 1, 1), grid.view(1, -1, 1) - centre[:, 1].view(-1, 1, 1)
        reach = radius.view(-1, 1, 1)
        within = torch.maximum(dx.abs(), dy.abs()) < reach
        shapes = torch.stack([dx.square() + dy.square() < reach.square(), within, within & (2 * dx.abs() < dy + reach)])
        covers = shapes[kinds, torch.arange(count)] & (index < there).view(-1, 1, 1)
        shade = uniform(0.35, 0.9, 1, 1) * torch.where(uniform(0, 1, 1, 1) < 0.5, -1, 1)
        images, masks = torch.where(covers, shade, images), torch.where(covers, 1 + kinds.view(-1, 1, 1), masks)
        corners = torch.cat([centre - radius[:, None], centre + radius[:, None]], 1)
        boxes[:, index] = torch.cat([corners, torch.where(index < there, kinds, -1)[:, None]], 1)
    images = images + 0.2 * torch.randn(images.shape, generator=generator)
    return Drawing(images[:, None], masks, boxes)
