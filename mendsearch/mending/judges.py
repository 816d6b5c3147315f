"""What candidates are judged by: the dense network's outputs, the labels, or the user's own metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.coupling.slicing import Slicer
from mendsearch.errors import ModelError
from mendsearch.outputs import Comparison
from mendsearch.outputs.comparison import Prepared
from mendsearch.outputs.guessing import Output

Metric = Callable[[nn.Module, Any], Tensor]
"""(network, batch) -> (n,) values of its items, higher is better; a batch is inputs, or (inputs, labels) if there are
labels; inputs are a tensor if the network takes one, else a `Batch`."""
KEPT_BYTES = 2**30
"""Memory of the dense network's outputs, above which they are computed anew for every candidate."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a judge says of a candidate on one batch of n items.

    Attributes:
        losses: (n,) float32, lower is better.
        agreed: (n,) float32, fractions of decisions that are the reference's; None where nothing is decided.
        divergences: by output leaf, (n,) float32; empty unless the dense network is the reference.
    """

    losses: Tensor
    agreed: Tensor | None = None
    divergences: Mapping[str, Tensor] = field(default_factory=dict)


class Judge(ABC):
    """Gives every item a loss. It is asked within `Slicer.sized(state)`, in evaluation mode, without gradients.

    Attributes:
        reference: what candidates are compared with.
        outputs: the network's outputs and how they are compared; empty for a metric.
    """

    reference: Literal["dense", "labels", "metric"]
    outputs: tuple[Output, ...] = ()

    @property
    @abstractmethod
    def version(self) -> tuple[object, ...]:
        """Changes whenever the same candidate would be judged otherwise."""

    @abstractmethod
    def judge(self, state: dict[str, Tensor], at: int) -> Judged:
        """The losses of a candidate on batch number `at`."""


class ByDense(Judge):
    """Divergences of the outputs from the dense network's.

    Args:
        slicer: runs candidates.
        batches: inputs, batch by batch.
        comparison: how outputs are compared.
    """

    reference = "dense"

    def __init__(self, slicer: Slicer, batches: Sequence[Batch], comparison: Comparison) -> None:
        self._slicer, self._batches, self._comparison = slicer, batches, comparison
        self.outputs = comparison.outputs
        first = self._dense(0)
        used = sum(value.numel() * value.element_size() for value in first.values() if isinstance(value, Tensor))
        fits = used * sum(map(len, batches)) <= KEPT_BYTES * len(batches[0])
        self._kept = [first, *(self._dense(at) for at in range(1, len(batches)))] if fits else None

    @property
    def version(self) -> tuple[object, ...]:
        return self.reference, self._comparison.version

    def judge(self, state: dict[str, Tensor], at: int) -> Judged:
        dense = self._dense(at) if self._kept is None else self._kept[at]
        found = self._comparison.prepare(self._slicer.forward(state, self._batches[at]))
        parts = self._comparison.divergences(found, dense)
        return Judged(self._comparison.mean(parts), self._comparison.agreement(found, dense), parts)

    @torch.no_grad()
    def _dense(self, at: int) -> Prepared:
        state, inputs = dict(self._slicer.dense), self._batches[at]
        with torch.autocast(inputs.tensors[0].device.type, enabled=False), self._slicer.sized(state):
            return self._comparison.prepare(self._slicer.forward(state, inputs))


class ByLabels(Judge):
    """The loss with the labels: cross-entropy, or the squared error.

    Args:
        slicer: runs candidates.
        batches: inputs, batch by batch.
        labels: their labels, batch by batch.
        comparison: what the network's one output is.

    Raises:
        DataError: there is no loss for these outputs and labels.
    """

    reference = "labels"

    def __init__(
        self, slicer: Slicer, batches: Sequence[Batch], labels: Sequence[Tensor], comparison: Comparison
    ) -> None:
        self._slicer, self._batches, self._labels, self._comparison = slicer, batches, labels, comparison
        self.outputs = comparison.outputs
        self.judge(dict(slicer.dense), 0)  # labels that do not fit are better found before any trial

    @property
    def version(self) -> tuple[object, ...]:
        return self.reference, self._comparison.version

    def judge(self, state: dict[str, Tensor], at: int) -> Judged:
        found, labels = self._comparison.prepare(self._slicer.forward(state, self._batches[at])), self._labels[at]
        return Judged(self._comparison.loss(found, labels), self._comparison.right(found, labels))


class ByMetric(Judge):
    """Minus the user's own metric.

    Args:
        slicer: runs candidates.
        batches: what the metric is given, batch by batch.
        metric: the metric.
        name: import path of the metric.

    Raises:
        ModelError: it gives something else than a finite value for each item.
    """

    reference = "metric"

    def __init__(self, slicer: Slicer, batches: Sequence[Any], metric: Metric, name: str) -> None:
        self._slicer, self._batches, self._metric, self.name = slicer, batches, metric, name
        if not self.judge(dict(slicer.dense), 0).losses.isfinite().all():
            raise ModelError(f"the metric {name} gives values that are not finite for the dense network")

    @property
    def version(self) -> tuple[object, ...]:
        return self.reference, self.name

    def judge(self, state: dict[str, Tensor], at: int) -> Judged:
        batch = self._batches[at]
        return Judged(-checked(self._slicer.apply(state, self._metric, batch), batch, self.name))


def checked(found: object, batch: Any, name: str) -> Tensor:
    """What a metric said of the items of a batch, as (n,) float32.

    Raises:
        ModelError: it is something else.
    """
    items = len(batch[0] if isinstance(batch, tuple) else batch)
    if not isinstance(found, Tensor) or found.shape != (items,):
        got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ModelError(f"the metric {name} gives {got} for {items} items, expected a tensor ({items},)")
    return found.detach().float()
