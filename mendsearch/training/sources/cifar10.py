"""CIFAR-10, 50,000 + 10,000 images of 32x32, read by torchvision from a local folder."""

from __future__ import annotations

import torch

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.sources.base import ArrayDataset, DataSource, crop_and_flip, require_folder


def cifar10(spec: DataSpec, seed: int) -> DataSource:
    """Images (3, 32, 32), augmented by a shift of up to 4 pixels and mirroring. Nothing is downloaded.

    torchvision checks the files against their known digests before it unpickles them.

    Raises:
        DataError: the folder does not hold a complete `cifar-10-batches-py`.
    """
    from torchvision.datasets import CIFAR10

    folder = require_folder(spec)
    parts = []
    for train in (True, False):
        try:
            data = CIFAR10(str(folder), train=train, download=False)
        except (RuntimeError, OSError) as error:
            raise DataError(
                f"data folder {folder} does not hold a complete CIFAR-10: {error}; unpack cifar-10-python.tar.gz there"
            ) from error
        images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        parts.append(
            ArrayDataset(
                images, torch.tensor(data.targets), mean=[0.4914, 0.4822, 0.4465], std=[0.2470, 0.2435, 0.2616]
            )
        )
    return DataSource(train=parts[0], test=parts[1], num_classes=10, augment=crop_and_flip(4, flip=True))
