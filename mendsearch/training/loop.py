"""The training loop of the dense network and of fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from mendsearch.batches import Batch, BatchLike
from mendsearch.config import FinetuneSpec, TrainSpec
from mendsearch.errors import MendsearchError, ModelError
from mendsearch.modes import evaluating, to_network
from mendsearch.onednn import safe_gradients
from mendsearch.outputs import LOGITS, Comparison, leaves_of
from mendsearch.outputs.leaves import SINGLE
from mendsearch.training.checkpoints import Schedule, read_checkpoint, write_checkpoint
from mendsearch.training.clipping import clip, is_clipped
from mendsearch.training.reading import ToInputs
from mendsearch.training.sources.base import Augment
from mendsearch.training.splits import batches

Loss = Callable[[Any, Any], Tensor]
"""(outputs of the network, targets) -> scalar."""


def train(
    model: nn.Module,
    dataset: Dataset[Any],
    spec: TrainSpec | FinetuneSpec,
    *,
    seed: int,
    part: float = 1.0,
    batch: ToInputs | None = None,
    augment: Augment | None = None,
    teacher: nn.Module | None = None,
    comparison: Comparison = LOGITS,
    loss: Loss | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> None:
    """Minimise a loss by SGD with Nesterov momentum and a one-cycle schedule.

    Gradients of networks with layer norms, and of those without any norms, are clipped (`clipping`).

    With a teacher, the loss is (1 - w) loss + w divergence from the teacher's outputs, where w is `spec.distillation`.
    For logits that divergence is T² KL(teacher ‖ model) at temperature T (Hinton et al., "Distilling the Knowledge in a
    Neural Network", 2015).

    Args:
        model: network; changed in place on its device, left in evaluation mode.
        dataset: data set of (inputs, targets).
        spec: epochs, batch size, learning rate, momentum and weight decay.
        seed: seed of shuffling and augmentation; the same seed gives the same batches.
        part: fraction of the epochs, for which the schedule is made; the last epoch may be cut short.
        batch: function that turns a batch of `dataset` into (inputs, labels), where `parted` does not.
        augment: function that augments the inputs of a batch.
        teacher: the dense network, in evaluation mode, whose outputs are learned too.
        comparison: what the network's outputs are; by default logits (N, num_classes).
        loss: the loss; by default cross-entropy for an output with classes, and the squared error for another one.
        checkpoint: file written after every epoch, from which training resumes; the caller removes it once it has saved
            the weights.
        on_epoch: function called with the mean loss after every epoch, and once for each epoch done before resuming.

    Raises:
        MendsearchError: the loss is no longer finite.
        DataError: there is no default loss for these outputs and targets.
        ModelError: the network gives other outputs in training mode than `comparison` says.
    """
    rows = _subset(dataset, spec, seed)
    if not spec.epochs:
        return
    a_pass = math.ceil(len(rows) / spec.batch_size)
    steps = max(1, round(part * spec.epochs * a_pass))
    optimizer = torch.optim.SGD(
        model.parameters(),
        spec.learning_rate,
        spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.momentum > 0,
    )
    if is_clipped(model):
        optimizer.register_step_pre_hook(lambda *_: clip(model.parameters()))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, spec.learning_rate, total_steps=max(5, steps), pct_start=0.25
    )
    distillation = getattr(spec, "distillation", 0.0) if teacher is not None else 0.0
    criterion = _Criterion(comparison, loss, teacher if distillation else None, distillation)
    first = _take_up(checkpoint, model, optimizer, schedule, on_epoch)
    losses: list[float] = []
    for epoch in range(first, math.ceil(steps / a_pass)):
        model.train()
        given = batches(rows, spec.batch_size, shuffle_seed=seed * 1000 + epoch, batch=batch)
        cut = islice(given, steps - epoch * a_pass)
        with safe_gradients(model):
            mean = _epoch(model, cut, optimizer, schedule, augment, criterion, seed * 1000 + epoch)
        if not math.isfinite(mean):
            raise MendsearchError(
                f"training diverged in epoch {epoch + 1}: got a loss of {mean}; try a lower learning_rate, "
                f"or look for inputs and targets that are not finite"
            )
        losses.append(mean)
        if checkpoint is not None:
            write_checkpoint(checkpoint, model, optimizer, schedule, epoch + 1, mean)
        on_epoch(mean)
    model.eval()


class _Criterion:
    """The loss of a batch: that of the targets, and with a teacher the divergence from its outputs."""

    def __init__(self, comparison: Comparison, loss: Loss | None, teacher: nn.Module | None, weight: float) -> None:
        self._comparison, self._loss, self._teacher, self._weight = comparison, loss, teacher, weight

    def __call__(self, model: nn.Module, inputs: Batch, targets: Any) -> Tensor:
        outputs = inputs.call(model)
        if self._teacher is None:
            return self._of_targets(outputs, targets)
        with torch.no_grad(), evaluating(self._teacher):
            wanted = inputs.call(self._teacher)
        distance = self._comparison.distillation(outputs, wanted)
        if self._weight == 1:
            return distance
        return (1 - self._weight) * self._of_targets(outputs, targets) + self._weight * distance

    def _of_targets(self, outputs: Any, targets: Any) -> Tensor:
        if self._loss is None:
            return self._comparison.loss(self._comparison.prepare(outputs), targets).mean()
        found = self._loss(outputs, targets)
        if not isinstance(found, Tensor) or found.numel() != 1:
            got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ModelError(f"the loss gives {got}, expected a scalar; take the mean over items")
        return found


def _epoch(
    model: nn.Module,
    given: Iterable[tuple[Batch, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    augment: Augment | None,
    criterion: _Criterion,
    seed: int,
) -> float:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    total, count = 0.0, 0
    for inputs, labels in given:
        if len(inputs) < 2:  # batch norm needs two values per channel
            schedule.step()
            continue
        if augment is not None:
            inputs = Batch.of(augment(inputs.tensor if inputs.is_one_tensor else inputs, generator))
        loss = criterion(model, to_network(inputs, model), _placed(labels, device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(inputs)
        count += len(inputs)
    return total / max(1, count)


def _placed(targets: Any, device: torch.device) -> Any:
    """Targets, which may be nested, on a device."""
    if isinstance(targets, Tensor):
        return targets.to(device)
    if isinstance(targets, Mapping):
        return {key: _placed(part, device) for key, part in targets.items()}
    return [_placed(part, device) for part in targets] if isinstance(targets, list | tuple) else targets


def _subset(dataset: Dataset[Any], spec: TrainSpec | FinetuneSpec, seed: int) -> Any:
    images = getattr(spec, "images", None)
    if images is None or images >= len(dataset):  # type: ignore[arg-type]  # map-style, checked by `split`
        return dataset
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    return Subset(dataset, order[:images].tolist())


def _take_up(
    checkpoint: Path | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    on_epoch: Callable[[float], None],
) -> int:
    if checkpoint is None or not checkpoint.is_file():
        return 0
    done, loss = read_checkpoint(checkpoint, model, optimizer, schedule)
    for _ in range(done):
        on_epoch(loss)
    return done


@torch.no_grad()
def predict(model: nn.Module, inputs: BatchLike, batch_size: int = 500) -> Any:
    """Outputs, in evaluation mode, batch by batch: one tensor, or tensors by name."""
    with evaluating(model):
        parts = [leaves_of(to_network(part, model).call(model)) for part in Batch.of(inputs).split(batch_size)]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}  # type: ignore[misc]
    return joined[SINGLE] if joined.keys() == {SINGLE} else joined


@torch.no_grad()
def accuracy(
    model: nn.Module,
    dataset: Dataset[Any],
    batch_size: int = 500,
    *,
    batch: ToInputs | None = None,
    comparison: Comparison = LOGITS,
) -> float | None:
    """Fraction (0-1) of decisions that are as the labels say: of items, or of their pixels.

    Args:
        model: network.
        dataset: data set of (inputs, targets).
        batch_size: items per pass.
        batch: function that turns a batch of `dataset` into (inputs, targets), where `parted` does not.
        comparison: what the network's outputs are; by default logits (N, num_classes).

    Returns:
        None if the network decides nothing, or the targets are no labels.
    """
    right, count = 0.0, 0
    with evaluating(model):
        for inputs, labels in batches(dataset, batch_size, batch=batch):
            found = comparison.right(comparison.prepare(to_network(inputs, model).call(model)), labels)
            if found is None:
                return None
            right += float(found.double().sum())
            count += len(inputs)
    return right / count
