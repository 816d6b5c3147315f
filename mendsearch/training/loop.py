"""The training loop of the dense network and of fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, Subset

from mendsearch.config import FinetuneSpec, TrainSpec
from mendsearch.errors import MendsearchError
from mendsearch.files import write_torch
from mendsearch.modes import evaluating, to_network
from mendsearch.training.sources.base import Augment
from mendsearch.training.splits import batches

TEMPERATURE = 2.0
"""Temperature of distillation."""


def train(
    model: nn.Module,
    dataset: Dataset[Any],
    spec: TrainSpec | FinetuneSpec,
    *,
    seed: int,
    part: float = 1.0,
    augment: Augment | None = None,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> None:
    """Minimise cross-entropy by SGD with Nesterov momentum and a one-cycle schedule.

    With a teacher, the loss is (1 - w) cross-entropy + w T² KL(teacher ‖ model) at temperature T, where w is
    `spec.distillation` (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).

    Args:
        model: network, (N, C, H, W) -> (N, num_classes); changed in place on its device, left in evaluation mode.
        dataset: data set of (image, label).
        spec: epochs, batch size, learning rate, momentum and weight decay.
        seed: seed of shuffling and augmentation; the same seed gives the same batches.
        part: fraction of the epochs, for which the schedule is made; the last epoch may be cut short.
        augment: function that augments a batch of images.
        teacher: the dense network, in evaluation mode, whose outputs are learned too.
        checkpoint: file written after every epoch, from which training resumes; the caller removes it once it has saved
            the weights.
        on_epoch: function called with the mean loss after every epoch, and once for each epoch done before resuming.

    Raises:
        MendsearchError: the loss is no longer finite.
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
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, spec.learning_rate, total_steps=max(5, steps), pct_start=0.25
    )
    saved: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    distillation = getattr(spec, "distillation", 0.0) if teacher is not None else 0.0
    criterion = _Criterion(teacher if distillation else None, distillation)
    first = _take_up(checkpoint, saved, on_epoch)
    losses: list[float] = []
    for epoch in range(first, math.ceil(steps / a_pass)):
        model.train()
        loader = islice(batches(rows, spec.batch_size, shuffle_seed=seed * 1000 + epoch), steps - epoch * a_pass)
        loss = _epoch(model, loader, optimizer, schedule, augment, criterion, seed * 1000 + epoch)
        if not math.isfinite(loss):
            raise MendsearchError(
                f"training diverged in epoch {epoch + 1}: got a loss of {loss}; try a lower learning_rate"
            )
        losses.append(loss)
        if checkpoint is not None:
            write_torch(checkpoint, {"epoch": epoch + 1, "loss": loss, **{k: v.state_dict() for k, v in saved.items()}})
        on_epoch(loss)
    model.eval()


class _Criterion:
    """The loss of a batch: cross-entropy, and with a teacher the divergence from its outputs."""

    def __init__(self, teacher: nn.Module | None, weight: float) -> None:
        self._teacher, self._weight = teacher, weight

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        outputs = model(images)
        loss = functional.cross_entropy(outputs, labels)
        if self._teacher is None:
            return loss
        with torch.no_grad(), evaluating(self._teacher):
            wanted = functional.log_softmax(self._teacher(images) / TEMPERATURE, 1)
        found = functional.log_softmax(outputs / TEMPERATURE, 1)
        distance = functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
        return (1 - self._weight) * loss + self._weight * TEMPERATURE**2 * distance


def _epoch(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    augment: Augment | None,
    criterion: _Criterion,
    seed: int,
) -> float:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    total, count = 0.0, 0
    for images, labels in loader:
        if len(images) < 2:  # batch norm needs two values per channel
            schedule.step()
            continue
        if augment is not None:
            images = augment(images, generator)
        loss = criterion(model, to_network(images, model), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(images)
        count += len(images)
    return total / max(1, count)


def _subset(dataset: Dataset[Any], spec: TrainSpec | FinetuneSpec, seed: int) -> Any:
    images = getattr(spec, "images", None)
    if images is None or images >= len(dataset):  # type: ignore[arg-type]  # map-style, checked by `split`
        return dataset
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    return Subset(dataset, order[:images].tolist())


def _take_up(checkpoint: Path | None, saved: dict[str, Any], on_epoch: Callable[[float], None]) -> int:
    if checkpoint is None or not checkpoint.is_file():
        return 0
    state = torch.load(checkpoint, "cpu", weights_only=True)
    for name, part in saved.items():
        part.load_state_dict(state[name])
    for _ in range(state["epoch"]):
        on_epoch(state["loss"])
    return int(state["epoch"])


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Logits (N, num_classes) of images (N, C, H, W), in evaluation mode, batch by batch."""
    with evaluating(model):
        return torch.cat([model(to_network(part, model)) for part in images.split(batch_size)])


@torch.no_grad()
def accuracy(model: nn.Module, dataset: Dataset[Any], batch_size: int = 500) -> float:
    """Fraction (0-1) of the images of `dataset` whose label has the largest logit."""
    right = count = 0
    with evaluating(model):
        for images, labels in batches(dataset, batch_size):
            right += int((model(to_network(images, model)).argmax(1).cpu() == labels).sum())
            count += len(labels)
    return right / count


def judge(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy (0-1) on images (N, C, H, W) with labels (N,) int64, and the mean cross-entropy."""
    logits, labels = predict(model, images).float().cpu(), labels.cpu()
    return float((logits.argmax(1) == labels).float().mean()), float(functional.cross_entropy(logits, labels))
