"""Splits of the data, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler, Subset

from mendsearch.batches import Batch
from mendsearch.config import DataSpec
from mendsearch.cores import available_cores
from mendsearch.errors import DataError
from mendsearch.training.reading import READ, ToInputs, collate, parted_batches
from mendsearch.training.sources.base import ArrayDataset, Augment, DataSource

LOADER_WORKERS = 2
"""Processes that decode images, where there are as many cores."""


@dataclass(frozen=True)
class Splits:
    """Training data without what is held out, and what the search keeps in memory.

    Attributes:
        train: data set of (inputs, labels).
        validation: inputs and labels with a first axis of N, held out of `train`, that trials are scored on.
        calibration: inputs from `train`, for ranking, reconstruction and BN recalibration.
        test: data set of (inputs, labels) that the search never sees.
        num_classes: number of classes; labels are 0 .. `num_classes` - 1. None if they are no classes.
        augment: function that augments the inputs of a training batch.
        batch: function that turns a batch of the data sets into (inputs, labels).
    """

    train: Dataset[Any]
    validation: tuple[Batch, Tensor]
    calibration: Batch
    test: Dataset[Any]
    num_classes: int | None
    augment: Augment | None
    batch: ToInputs | None


def split(source: DataSource, spec: DataSpec, seed: int) -> Splits:
    """Hold validation items out of the training data, and draw calibration items from the rest.

    Raises:
        DataError: there are fewer than 8 training items or no test item, or a label is out of range.
    """
    plain = source.plain_train if source.plain_train is not None else source.train
    count = _size(plain)
    if count < 8 or _size(source.test) < 1:
        raise DataError(
            f"data {spec.name}: got {count} training and {_size(source.test)} test items, expected 8 and 1 or more"
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    held = min(spec.validation, count // 4)
    validation = gather(plain, order[:held], source.batch)
    calibration, _ = gather(plain, order[held : held + spec.calibration], source.batch)
    tested, _ = gather(source.test, [0], source.batch)
    if repr(calibration) != repr(tested):
        raise DataError(f"test inputs are {tested}, training inputs are {calibration}; expected the same")
    for name, labels in (("validation", validation[1]), ("test", _labels(source.test)), ("training", _labels(plain))):
        check_labels(labels, source.num_classes, name)
    return Splits(
        Subset(source.train, order[held:]),
        validation,
        calibration,
        source.test,
        source.num_classes,
        source.augment,
        source.batch,
    )


def check_labels(labels: Tensor | None, num_classes: int | None, name: str) -> None:
    """Raise `DataError` unless every label is in 0 .. `num_classes` - 1, where labels are classes."""
    if labels is None or num_classes is None or labels.is_floating_point() or not labels.numel():
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(
            f"{name} labels are out of range: got {low} to {high}, expected 0 to {num_classes - 1} "
            f"for {num_classes} classes"
        )


def gather(dataset: Dataset[Any], indices: list[int], batch: ToInputs | None = None) -> tuple[Batch, Tensor]:
    """Inputs and labels (N,) int64 at `indices`, in that order.

    Raises:
        DataError: the items are not pairs of inputs and a label, or differ in shape.
    """
    if isinstance(dataset, ArrayDataset) and batch is None:
        images, labels = dataset[indices]
        return Batch(images), labels
    try:
        parts = list(batches(Subset(dataset, indices), READ, batch=batch))
        return Batch.cat([inputs for inputs, _ in parts]), torch.cat([labels for _, labels in parts])
    except OSError as error:
        raise DataError(f"data set {type(dataset).__name__} cannot be read: {error}") from error
    except (TypeError, RuntimeError, DataError) as error:
        reason = str(error).strip().split("\n")[-1]
        raise DataError(
            f"data set {type(dataset).__name__} does not give (inputs, label) of one form: {reason}"
        ) from error


def batches(
    dataset: Dataset[Any], batch_size: int, *, shuffle_seed: int | None = None, batch: ToInputs | None = None
) -> Iterator[tuple[Batch, Any]]:
    """Batches of inputs and targets, shuffled by `shuffle_seed` or in order.

    Args:
        dataset: map-style.
        batch_size: items in each, at most.
        shuffle_seed: None for the order of the data set.
        batch: function that turns what the data set gives as a batch into (inputs, targets).

    Raises:
        DataError: there are no targets.
    """
    for inputs, targets in parted_batches(_loader(dataset, batch_size, shuffle_seed), batch):
        if targets is None:
            raise DataError(f"data set {type(dataset).__name__} gives {inputs} without labels")
        yield inputs, targets


def _loader(dataset: Dataset[Any], batch_size: int, shuffle_seed: int | None) -> DataLoader[Any]:
    if shuffle_seed is None:
        order: Any = SequentialSampler(dataset)  # type: ignore[arg-type]  # every data set here has a length
    else:
        generator = torch.Generator().manual_seed(shuffle_seed)
        order = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]  # likewise
    batch_sampler = BatchSampler(order, batch_size, drop_last=False)
    inner = _flatten_subset(dataset)
    if inner is not None:
        return DataLoader(_Rows(*inner), sampler=batch_sampler, batch_size=None)
    return DataLoader(dataset, batch_sampler=batch_sampler, num_workers=_workers(dataset), collate_fn=collate)


class _Rows(Dataset[tuple[Tensor, Tensor]]):
    """Batches of some rows of an `ArrayDataset`, each taken by one indexing."""

    def __init__(self, arrays: ArrayDataset, rows: Tensor) -> None:
        self._arrays, self._rows = arrays, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        return self._arrays[self._rows[index]]


def _flatten_subset(dataset: Dataset[Any]) -> tuple[ArrayDataset, Tensor] | None:
    """The arrays below nested subsets, and the rows that the subsets select; None if there are no arrays."""
    if isinstance(dataset, ArrayDataset):
        return dataset, torch.arange(len(dataset))
    if isinstance(dataset, Subset):
        inner = _flatten_subset(dataset.dataset)
        return None if inner is None else (inner[0], inner[1][torch.as_tensor(list(dataset.indices), dtype=torch.long)])
    return None


def _labels(dataset: Dataset[Any]) -> Tensor | None:
    """All labels, if they are known without decoding inputs."""
    if isinstance(dataset, ArrayDataset):
        return dataset.labels
    targets = getattr(dataset, "targets", None)
    return torch.as_tensor(targets) if targets is not None else None


def _size(dataset: Dataset[Any]) -> int:
    length: Callable[[], int] | None = getattr(dataset, "__len__", None)
    if length is None:
        raise DataError(f"data set {type(dataset).__name__} has no length; give a map-style data set")
    return length()


def _workers(dataset: Dataset[Any]) -> int:
    """Number of loader processes; they help only if images are decoded from files."""
    root = dataset
    while isinstance(root, Subset):
        root = root.dataset
    return min(LOADER_WORKERS, available_cores()) if hasattr(root, "loader") else 0
