"""The inputs of a network for N items: any number of tensors of any shape and dtype, positional or by keyword."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_map, tree_unflatten

from mendsearch.errors import DataError

ALLOWED = (Tensor, bool, int, float, str, torch.dtype, type(None))
"""What arguments are made of; what is no tensor is the same for all items."""


class Batch:
    """The arguments of one call of a network.

    They are tensors in any nesting of tuples and dicts. The first axis of every tensor is the N items. A *list* holds
    one element for each item instead: a tensor of any shape, or a dict of tensors; so torchvision's detectors take
    their images. Numbers, strings, None and tensors without axes are the same for all items.

    Indexing and splitting are by items, and share memory where PyTorch does.

    Args:
        args: positional arguments.
        kwargs: keyword arguments.

    Raises:
        DataError: there is no tensor, the numbers of items differ, or something else is among the arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        leaves, self._tree = tree_flatten((args, kwargs), is_leaf=_is_list)
        self._leaves: tuple[Any, ...] = tuple(leaves)
        sizes = [len(leaf) for leaf in leaves if _has_items(leaf)]
        for leaf in leaves:
            _check(leaf)
        if not sizes:
            raise DataError("got inputs without a tensor whose first axis is the items; give one or more")
        if len(set(sizes)) > 1:
            got = " and ".join(map(str, dict.fromkeys(sizes)))
            raise DataError(
                f"inputs differ in their number of items: got {got}; the first axis of every tensor is the items, and "
                f"a list holds one tensor for each item"
            )
        self._size = sizes[0]

    @classmethod
    def of(cls, inputs: BatchLike) -> Batch:
        """A batch of one tensor or one list, of a tuple of positional arguments, or of a dict of keyword arguments.

        Raises:
            DataError: as the constructor.
        """
        if isinstance(inputs, Batch):
            return inputs
        if isinstance(inputs, Mapping):
            return cls(**{str(name): value for name, value in inputs.items()})
        return cls(*inputs) if isinstance(inputs, tuple) else cls(inputs)

    @classmethod
    def cat(cls, batches: Sequence[Batch]) -> Batch:
        """All items of several batches; what all items share is that of the first.

        Raises:
            DataError: their arguments or the shapes of their items differ.
        """
        first = batches[0]
        if any(batch._tree != first._tree for batch in batches):
            raise DataError(f"batches differ in their inputs: got {' and '.join(sorted({str(b) for b in batches}))}")
        return first._with([_joined(column) for column in zip(*(batch._leaves for batch in batches), strict=True)])

    def _with(self, leaves: Sequence[Any]) -> Batch:
        made = object.__new__(Batch)
        made._leaves, made._tree = tuple(leaves), self._tree
        made._size = next(len(leaf) for leaf in leaves if _has_items(leaf))
        return made

    _tree: TreeSpec

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # lists anew, so that a network may change the one that it is given
        leaves = [list(leaf) if isinstance(leaf, list) else leaf for leaf in self._leaves]
        return tree_unflatten(leaves, self._tree)  # type: ignore[no-any-return]

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return self._arguments()[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self._arguments()[1]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors in their order, those in lists too."""
        return tuple(leaf for leaf in tree_leaves(self._leaves) if isinstance(leaf, Tensor))

    @property
    def tensor(self) -> Tensor:
        """The only argument of a network of one tensor.

        Raises:
            DataError: the arguments are others.
        """
        if not self.is_one_tensor:
            raise DataError(f"got inputs {self}, expected one tensor")
        only: Tensor = self._leaves[0]
        return only

    @property
    def is_one_tensor(self) -> bool:
        """Whether the network is called with one tensor, not by keyword."""
        return len(self.args) == 1 and not self.kwargs and isinstance(self.args[0], Tensor)

    def call(self, model: nn.Module) -> Any:
        """The outputs of a network for this batch."""
        args, kwargs = self._arguments()
        return model(*args, **kwargs)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int | slice | Tensor) -> Batch:
        """Some of the items: one, a slice of them, or those at (n,) int64 or where (N,) bool is true."""
        if isinstance(index, int):
            at = range(len(self))[index]
            index = slice(at, at + 1)
        return self._with([_taken(leaf, index) if _has_items(leaf) else leaf for leaf in self._leaves])

    def split(self, sizes: int | Sequence[int]) -> list[Batch]:
        """Batches of at most that many items, or of the numbers of items that are given, as `Tensor.split`."""
        return self._cut(torch.arange(len(self)).split(sizes if isinstance(sizes, int) else list(sizes)))

    def tensor_split(self, sections: int) -> list[Batch]:
        """That many batches, of nearly the same number of items, as `Tensor.tensor_split`."""
        return self._cut(torch.arange(len(self)).tensor_split(sections))

    def _cut(self, parts: Sequence[Tensor]) -> list[Batch]:
        return [self[int(part[0]) : int(part[-1]) + 1] if len(part) else self[:0] for part in parts]

    def to(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> Batch:
        """On a device, in a dtype, in a memory format.

        Args:
            device: None for that of each tensor.
            dtype: of the tensors in floating point; others keep theirs.
            memory_format: `channels_last` holds for tensors (N, C, H, W) in floating point; all others are then
                contiguous.
        """

        def place(tensor: Tensor) -> Tensor:
            floating = tensor.is_floating_point()
            placed = tensor.to(device, dtype if floating and dtype else tensor.dtype)
            if memory_format is torch.preserve_format:
                return placed
            last = memory_format is torch.channels_last and floating and tensor.dim() == 4
            return placed.to(memory_format=torch.channels_last) if last else placed.contiguous()

        return self.map(place)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Of every tensor what a function gives, which must keep its items."""
        return self._with(
            [tree_map(lambda v: function(v) if isinstance(v, Tensor) else v, leaf) for leaf in self._leaves]
        )

    def items(self) -> Iterator[Any]:
        """The arguments that differ from item to item: tensors (N, ...), and lists of N elements."""
        return (leaf for leaf in self._leaves if _has_items(leaf))

    def __repr__(self) -> str:
        """The form of one item, such as `(3, 32, 32) float32 and mask=(10,) bool`."""
        shown = tree_unflatten([_form(leaf) for leaf in self._leaves], self._tree)
        words = [_words(value) for value in shown[0]]
        return " and ".join(words + [f"{name}={_words(value)}" for name, value in shown[1].items()])


BatchLike = Batch | Tensor | list[Any] | tuple[Any, ...] | Mapping[str, Any]
"""What `Batch.of` takes."""


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _has_items(leaf: Any) -> bool:
    return isinstance(leaf, list) or (isinstance(leaf, Tensor) and leaf.dim() > 0)


def _check(leaf: Any) -> None:
    for value in tree_leaves(leaf):
        if not isinstance(value, ALLOWED):
            raise DataError(f"got {type(value).__name__} among inputs, expected tensors in tuples, dicts and lists")
    if isinstance(leaf, list) and not all(any(isinstance(v, Tensor) for v in tree_leaves(part)) for part in leaf):
        raise DataError("got a list of other things than tensors among inputs; a list holds a tensor for each item")


def _taken(leaf: Any, index: slice | Tensor) -> Any:
    if isinstance(leaf, Tensor):
        return leaf[index.to(leaf.device) if isinstance(index, Tensor) else index]
    if isinstance(index, slice):
        return leaf[index]
    places = index.nonzero().flatten() if index.dtype == torch.bool else index
    return [leaf[place] for place in places.tolist()]


def _joined(column: Sequence[Any]) -> Any:
    """Leaves of several batches as one; tensors and lists together are a list."""
    if not _has_items(column[0]):
        return column[0]
    if any(isinstance(leaf, list) for leaf in column):
        return [element for leaf in column for element in leaf]
    shapes = sorted({tuple(leaf.shape[1:]) for leaf in column})
    if len(shapes) > 1:
        raise DataError(
            f"items differ in shape from batch to batch: got {shapes[0]} and {shapes[1]}; pad them to one shape, or "
            f"give the network a list of tensors"
        )
    return torch.cat(list(column))


def _form(leaf: Any) -> str:
    if isinstance(leaf, list):
        return "a list of tensors"
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    return f"{tuple(leaf.shape[1:])} {str(leaf.dtype).removeprefix('torch.')}"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else str(value).replace("'", "")
