"""Data sources: where images and labels come from, one source per file."""

from __future__ import annotations

from dataclasses import replace

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.training.sources.base import ArrayDataset, DataSource
from mendsearch.training.sources.cifar10 import cifar10
from mendsearch.training.sources.digits import digits
from mendsearch.training.sources.fashion_mnist import fashion_mnist
from mendsearch.training.sources.folder import folder
from mendsearch.training.sources.imported import imported

__all__ = ["ArrayDataset", "DataSource", "open_source"]

NAMES = {"digits": digits, "fashion-mnist": fashion_mnist, "cifar10": cifar10, "folder": folder}


def open_source(spec: DataSpec, seed: int) -> DataSource:
    """Open the data source that a spec names.

    Raises:
        DataError: the name is unknown, `batch` does not import, the folder is missing or empty, or a label is out of
            range.
    """
    source = _open(spec, seed)
    return source if spec.batch is None else replace(source, batch=import_factory(spec.batch, DataError))


def _open(spec: DataSpec, seed: int) -> DataSource:
    if is_import_path(spec.name):
        return imported(spec, seed)
    if spec.name not in NAMES:
        raise DataError(f"data {spec.name!r} is unknown; expected {', '.join(NAMES)} or package.module:factory")
    if spec.kwargs:
        raise DataError(f"data {spec.name} takes no kwargs; got {sorted(spec.kwargs)}")
    return NAMES[spec.name](spec, seed)
