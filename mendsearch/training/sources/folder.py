"""ImageNet-style trees: `train/CLASS/*.jpg` and `val/CLASS/*.jpg` (or `test/`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.sources.base import DataSource, require_folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def folder(spec: DataSpec, seed: int) -> DataSource:
    """Images (3, 224, 224), with the usual crops of ImageNet; `val/` or `test/` is the test split.

    Raises:
        DataError: a part of the tree is missing or holds no images, or the parts differ in their classes.
    """
    from torchvision import transforms

    root = require_folder(spec)
    normalise = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    centre = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *normalise])
    varied = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *normalise])
    train = _part(root / "train", varied)
    test_root = root / "val" if (root / "val").is_dir() else root / "test"
    test = _part(test_root, centre)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        raise DataError(f"data folder {root}: class `{odd}` is not in both train/ and {test_root.name}/")
    return DataSource(train, test, num_classes=len(train.classes), plain_train=_part(root / "train", centre))


def _part(path: Path, transform: Any) -> Any:
    from torchvision.datasets import ImageFolder

    if not path.is_dir():
        raise DataError(f"data folder {path} is missing; expected {path.name}/CLASS/image.jpg under {path.parent}")
    try:
        return ImageFolder(str(path), transform)
    except FileNotFoundError as error:
        raise DataError(f"data folder {path} holds no images: {error}; expected {path.name}/CLASS/image.jpg") from error
