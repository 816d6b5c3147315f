"""Which tensors a forward pass holds at once: when each came, and when it went.

PyTorch frees a tensor as soon as nothing refers to it. So the tensors that are alive while an operator runs are those
that it reads and writes, and those that wait for a later sum, concatenation or output.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mendsearch.coupling.layout import Ints


@dataclass(eq=False)
class Life:
    """Of the memory of one tensor and of all its views.

    Attributes:
        values: that it has for one item.
        units: of its dimensions that hold units.
        born: number of the operator that made it.
        died: number of the last operator while which it was alive; None where it outlived the pass.
        of_input: whether the inputs have a part in it, so that it grows with the number of items.
    """

    values: float
    units: tuple[Ints, ...]
    born: int
    died: int | None = None
    of_input: bool = False


class Lifetimes:
    """The lives of the tensors that one pass is given and makes.

    Args:
        own: parameters and buffers of the network, which are no part of it.
        items: number of items in the inputs.

    Attributes:
        now: number of the operator that is running, or has run.
        lives: in the order of birth.
    """

    def __init__(self, own: Iterable[Tensor], items: int) -> None:
        self.now = 0
        self.lives: list[Life] = []
        self._items = items
        self._own = {tensor.untyped_storage().data_ptr() for tensor in own}
        self._open: dict[int, tuple[Life, set[int]]] = {}
        self._watched: dict[int, weakref.ref[Tensor]] = {}

    def note(self, tensor: Tensor, axes: dict[int, Ints], of_input: bool) -> None:
        """A tensor is alive.

        Args:
            tensor: the tensor.
            axes: the units of its dimensions.
            of_input: whether the inputs have a part in it.
        """
        if tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        pointer, key = storage.data_ptr(), id(tensor)
        if not pointer or pointer in self._own:
            return
        # an expanded tensor has less memory than values; the inputs may be a part of a larger batch
        values = min(tensor.numel(), storage.nbytes() // tensor.element_size())
        life, tensors = self._open.setdefault(pointer, (Life(values, tuple(axes.values()), self.now), set()))
        if not tensors:
            self.lives.append(life)
        if of_input and not life.of_input:  # its first tensor, or one that was made from nothing and is written into
            life.units = tuple(axes.values()) if tensor.numel() >= life.values else ()
            life.of_input, life.values = True, life.values / self._items
        tensors.add(key)
        self._watched[key] = weakref.ref(tensor, lambda _: self._gone(key, pointer))

    def _gone(self, key: int, pointer: int) -> None:
        del self._watched[key]
        life, tensors = self._open[pointer]
        tensors.remove(key)
        if not tensors:
            life.died = self.now
            del self._open[pointer]
