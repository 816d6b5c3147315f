"""What users' data give, as inputs of the network and labels.

A batch is read by one rule, wherever it comes from: of a tuple the first part is the inputs, the second the targets if
there are tensors in it, and the rest is not looked at; what is no tuple is inputs. Inputs are one tensor, a tuple of
positional ones, a dict of those by keyword, or a list with one tensor for each item. Targets that are one tensor are
labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset
from torch.utils.data._utils.collate import default_collate, default_convert

from mendsearch.batches import Batch, BatchLike
from mendsearch.errors import DataError

ToInputs = Callable[[Any], Any]
"""From what a data set gives as one batch to inputs, or to (inputs, labels)."""
Data = DataLoader[Any] | Dataset[Any] | BatchLike
READ = 64
"""Items of a data set that are read at a time."""
SMALL = (torch.uint8, torch.int8, torch.int16)
"""Integers that are measured values, such as pixels or samples of sound, and no indices."""


def read(data: Data, most: int, *, to_inputs: ToInputs | None = None, seed: int = 0) -> tuple[Batch, Tensor | None]:
    """Inputs, and labels (N, …), int64 or in floating point, or None, in memory.

    Args:
        data: a data set, of which `most` items are drawn; a loader, of which the first batches are read until there
            are as many; or one batch, which is used as a whole.
        most: items to read, at most.
        to_inputs: turns what a batch of `data` is into inputs, or (inputs, labels), before it is read by the rule.
        seed: of the draw.

    Raises:
        DataError: there are no items, or what there is cannot be read.
    """
    if not isinstance(data, Dataset | DataLoader):
        inputs, targets = parted(data if to_inputs is None else to_inputs(data))
        return _checked(inputs, targets if isinstance(targets, Tensor) else None)
    parts: list[Batch] = []
    found: list[Any] = []
    count = 0
    for inputs, targets in parted_batches(_loader(data, most, seed), to_inputs):
        parts.append(inputs)
        found.append(targets if isinstance(targets, Tensor) else None)
        count += len(inputs)
        if count >= most:
            break
    if not parts:
        raise DataError("it holds no items")
    known = all(isinstance(labels, Tensor) for labels in found)
    return _checked(Batch.cat(parts)[:most], torch.cat(found)[:most] if known else None)


def parted_batches(loader: DataLoader[Any], to_inputs: ToInputs | None = None) -> Iterator[tuple[Batch, Any]]:
    """Inputs and targets of every batch of a loader."""
    as_lists = loader.collate_fn in (default_collate, default_convert)  # which make lists of tuples
    for given in loader:
        batch = _tuples(given) if as_lists else given
        if loader.batch_sampler is None and _is_item(batch):
            batch = collate([batch])
        yield parted(batch if to_inputs is None else to_inputs(batch))


def parted(given: Any) -> tuple[Batch, Any]:
    """Inputs and targets of one batch, by the rule; None without targets.

    Raises:
        DataError: its inputs are none, or there are not as many labels.
    """
    if isinstance(given, list) and _is_pair(given):
        given = tuple(given)
    targets = None
    if isinstance(given, tuple) and given:
        if len(given) > 1 and any(isinstance(leaf, Tensor) for leaf in tree_leaves(given[1])):
            targets = given[1]
        given = list(given[0]) if _is_one_for_each(given) else given[0]
    inputs = Batch.of(given)
    if isinstance(targets, Tensor):
        if not targets.dim() or len(targets) != len(inputs):
            raise DataError(f"got {len(inputs)} items and labels of shape {tuple(targets.shape)}, expected (N, …)")
        targets = targets if targets.is_floating_point() else targets.long()
    return inputs.map(_floats), targets


def collate(items: list[Any]) -> Any:
    """The items of a data set as one batch, tuples kept; tensors that differ in shape, and what is no tensor, as lists.

    Args:
        items: each is inputs, or a tuple of inputs and others.
    """
    if not isinstance(items[0], tuple | list):
        return _stacked(items)
    columns = list(zip(*items, strict=True))
    return tuple(_stacked(list(column)) for column in columns)


def _stacked(column: list[Any]) -> Any:
    try:
        return tree_map(lambda *leaves: _joined(list(leaves)), *map(_tuples, column))
    except ValueError:  # nested in other ways
        return column


def _joined(leaves: list[Any]) -> Any:
    first = leaves[0]
    if isinstance(first, Tensor):
        return torch.stack(leaves) if all(leaf.shape == first.shape for leaf in leaves) else leaves
    return default_collate(leaves) if hasattr(first, "__array__") or isinstance(first, bool | int | float) else leaves


def _loader(data: Dataset[Any] | DataLoader[Any], most: int, seed: int) -> DataLoader[Any]:
    if isinstance(data, DataLoader):
        return data
    if not isinstance(data, IterableDataset):
        size = getattr(data, "__len__", int)()
        if size > most:
            drawn = torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:most]
            data = Subset(data, drawn.tolist())
    return DataLoader(data, batch_size=min(READ, most), collate_fn=collate)


def _checked(inputs: Batch, labels: Any) -> tuple[Batch, Tensor | None]:
    if not len(inputs):
        raise DataError(f"got no items of {inputs}")
    for tensor in inputs.tensors:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError("some values are not finite")
    return inputs, labels if isinstance(labels, Tensor) else None


def _tuples(value: Any) -> Any:
    """With tuples in place of the lists that collating leaves."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(map(_tuples, value))
    return {key: _tuples(part) for key, part in value.items()} if isinstance(value, dict) else value


def _floats(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in SMALL else tensor


def _is_labels(value: Any) -> bool:
    kinds = (torch.int64, torch.int32, *SMALL)
    return isinstance(value, Tensor) and value.dim() == 1 and value.dtype in kinds


def _is_pair(value: list[Any]) -> bool:
    """Whether a list is inputs and labels, as loaders of all kinds give them, and not one tensor for each item."""
    return len(value) == 2 and _is_labels(value[1]) and not (isinstance(value[0], Tensor) and value[0].dim() < 2)


def _is_item(value: Any) -> bool:
    """Whether a loader without batches gives single items, with a label or a name each."""
    if not isinstance(value, tuple) or len(value) < 2:
        return False
    return isinstance(value[1], int | float | str) or (isinstance(value[1], Tensor) and not value[1].dim())


def _is_one_for_each(given: tuple[Any, ...]) -> bool:
    """Whether the inputs are a tuple of images beside a tuple of targets, as torchvision's detectors are trained."""
    if len(given) != 2 or not all(isinstance(part, tuple) for part in given) or len(given[0]) != len(given[1]):
        return False
    return all(isinstance(target, Mapping) for target in given[1])
