"""What a data source provides: data sets of (inputs, label), and the augmentation of training batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.reading import ToInputs

Augment = Callable[[Any, torch.Generator], Any]


class ArrayDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images held in memory as bytes, normalised batch by batch.

    Args:
        images: (N, C, H, W) uint8, images.
        labels: (N,) int64, labels with 0 <= label < num_classes.
        mean: mean of every channel, on the scale 0-1.
        std: standard deviation of every channel, on the scale 0-1.
    """

    def __init__(self, images: Tensor, labels: Tensor, mean: Sequence[float], std: Sequence[float]) -> None:
        self.images, self.labels = images, labels.long()
        self._mean = torch.tensor(mean).view(-1, 1, 1)
        self._std = torch.tensor(std).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """One image (C, H, W) float32 and its label; for a list of indices, a batch (N, C, H, W) and labels (N,)."""
        return (self.images[index].float() / 255 - self._mean) / self._std, self.labels[index]


@dataclass(frozen=True)
class DataSource:
    """Training data and test data.

    Attributes:
        train: data set of (inputs, label), such as an image (C, H, W) float32 and its class.
        test: data set of (inputs, label) that the search never sees.
        num_classes: number of classes; labels are 0 .. `num_classes` - 1. None if targets are no classes.
        augment: function of a training batch and a generator that gives the batch augmented: a tensor such as
            (N, C, H, W), or a `Batch` where the network has other arguments; None for no augmentation.
        plain_train: the training data without augmentation, if `train` augments them itself.
        batch: function that turns a batch of these data sets into (inputs, labels); None where they give them.
    """

    train: Dataset[Any]
    test: Dataset[Any]
    num_classes: int | None = None
    augment: Augment | None = None
    plain_train: Dataset[Any] | None = None
    batch: ToInputs | None = None


def crop_and_flip(padding: int, *, flip: bool) -> Augment:
    """Shift every image by up to `padding` pixels and, with `flip`, mirror half of them at random."""

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = images.shape
        padded = functional.pad(images, [padding] * 4)
        top, left = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
        rows = top + torch.arange(height)
        columns = left + torch.arange(width)
        if flip:
            mirrored = torch.rand(count, 1, generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        index = torch.arange(count)[:, None, None]
        return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()

    return augment


def require_folder(spec: DataSpec) -> Path:
    """The folder that a spec names.

    Raises:
        DataError: the spec has no path, or it is not a folder, or it is empty.
    """
    if spec.path is None:
        raise DataError(f"data {spec.name} needs [data] path, the folder that holds it")
    if not spec.path.is_dir():
        raise DataError(f"data folder {spec.path} is missing; give the folder that holds {spec.name}")
    if not any(spec.path.iterdir()):
        raise DataError(f"data folder {spec.path} is empty; give the folder that holds {spec.name}")
    return spec.path
