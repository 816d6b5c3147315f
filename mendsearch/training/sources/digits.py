"""scikit-learn's 1,797 handwritten digits, 8x8 (Alpaydin and Kaynak, UCI Machine Learning Repository, 1998)."""

from __future__ import annotations

import torch

from mendsearch.config import DataSpec
from mendsearch.training.sources.base import ArrayDataset, DataSource

TEST_IMAGES = 450


def digits(spec: DataSpec, seed: int) -> DataSource:
    """1,347 training and 450 test images of (1, 8, 8), split by `seed`; the package holds the data."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).view(-1, 1, 8, 8).mul(255 / 16).round().byte()
    targets = torch.from_numpy(labels).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    make = [ArrayDataset(images[part], targets[part], mean=[0.305], std=[0.376]) for part in (train, test)]
    return DataSource(train=make[0], test=make[1], num_classes=10)
