"""Fashion-MNIST, 60,000 + 10,000 images of 28x28 (Xiao, Rasul and Vollgraf, arXiv:1708.07747).

Debian's package `dataset-fashion-mnist` puts the files under `/usr/share/datasets/fashion-mnist`.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.sources.base import ArrayDataset, DataSource, crop_and_flip, require_folder


def fashion_mnist(spec: DataSpec, seed: int) -> DataSource:
    """Images (1, 28, 28) from idx files, gzipped or not, augmented by a shift of up to 2 pixels and mirroring.

    Raises:
        DataError: the folder or one of its four files is missing, or a file is not an idx file.
    """
    folder = require_folder(spec)
    parts = []
    for part in ("train", "t10k"):
        images, labels = read_idx(folder, f"{part}-images-idx3-ubyte"), read_idx(folder, f"{part}-labels-idx1-ubyte")
        if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
            raise DataError(
                f"data folder {folder}: {part} holds {tuple(images.shape)} images and {tuple(labels.shape)} labels"
            )
        parts.append(ArrayDataset(images[:, None], labels, mean=[0.2860], std=[0.3530]))
    return DataSource(train=parts[0], test=parts[1], num_classes=10, augment=crop_and_flip(2, flip=True))


def read_idx(folder: Path, name: str) -> Tensor:
    """One idx file of bytes, `name` or `name.gz` (format: http://yann.lecun.com/exdb/mnist/).

    Returns:
        uint8 tensor of the shape in the file's header.

    Raises:
        DataError: the file is missing, does not hold bytes, or is truncated.
    """
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        raw = plain.read_bytes()
    elif zipped.is_file():
        try:
            raw = gzip.decompress(zipped.read_bytes())
        except (OSError, EOFError) as error:
            raise DataError(f"data file {zipped} cannot be unzipped: {error}; fetch it again") from error
    else:
        raise DataError(f"data folder {folder} lacks {name} (or {name}.gz)")
    if raw[:3] != b"\0\0\x08":
        raise DataError(f"data file {folder / name} is not an idx file of bytes")
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4).astype(int)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    if values.size != shape.prod():
        raise DataError(f"data file {folder / name} is truncated: got {values.size} bytes, expected {shape.prod()}")
    return torch.from_numpy(values.copy()).view(*shape.tolist())
