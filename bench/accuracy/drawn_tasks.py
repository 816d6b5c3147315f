"""The U-Net and the detector of the examples, trained on more drawn shapes, with what judges them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from bench.files import WORK
from examples.detection.loss import loss as detection_loss
from examples.detection.metric import average_precision, decode, mean_average_precision
from examples.detection.net import Detector
from examples.drawn import Drawing, draw
from examples.segmentation.loss import loss as segmentation_loss
from examples.segmentation.metric import mean_iou
from examples.segmentation.net import UNet
from mendsearch.config import FinetuneSpec, TrainSpec
from mendsearch.files import read_tensors, write_tensors
from mendsearch.mending.judges import Metric
from mendsearch.modes import evaluating
from mendsearch.outputs import comparison_of
from mendsearch.training.loop import train

TRAIN, VALIDATION, TEST, CALIBRATION = 1600, 500, 500, 512
"""Images drawn for training, for scores and for the tables; those of the first that calibrate."""


def intersections(model: nn.Module, test: Drawing) -> float:
    """The mean IoU, as the example's metric has it."""
    return float(torch.cat([mean_iou(model, batch) for batch in zip(*_parts(test.images, test.masks))]).mean())  # noqa: B905


def precision(model: nn.Module, test: Drawing) -> float:
    """The average precision at an IoU of 0.5 over all images, the mean of the classes."""
    found = [boxes for (images,) in zip(*_parts(test.images)) for boxes in decode(model(images))]  # noqa: B905
    return mean_average_precision(found, list(test.boxes))


def _parts(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [tensor.split(100) for tensor in tensors]


@dataclass(frozen=True, eq=False)
class Task:
    """A network of the examples, how it is trained, and what it is worth.

    Attributes:
        name: of the example.
        make: the network.
        targets: those of a drawing.
        loss: (outputs, targets) -> scalar.
        figure: what a network is worth on a drawing.
        metric: the same for each image, as a score that a search can maximise.
        training: of the dense network.
        batch_size: of the fine-tuning.
        outputs: what is said of the outputs.
    """

    name: str
    make: Callable[[], nn.Module]
    targets: Callable[[Drawing], Tensor]
    loss: Callable[[Any, Any], Tensor]
    figure: Callable[[nn.Module, Drawing], float]
    metric: Metric
    training: TrainSpec
    batch_size: int
    outputs: dict[str, str] = field(default_factory=dict)


TASKS = (
    Task(
        "segmentation", UNet, lambda drawing: drawing.masks, segmentation_loss, intersections, mean_iou,
        TrainSpec(epochs=14, batch_size=16), 16,
    ),
    Task(
        "detection", Detector, lambda drawing: drawing.boxes, detection_loss, precision, average_precision,
        TrainSpec(epochs=20, batch_size=32, learning_rate=0.05), 32, {"classes": "bernoulli"},
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trained:
    """A task, its dense network, and its images."""

    task: Task
    model: nn.Module
    train: Drawing
    validation: Drawing
    test: Drawing

    @property
    def calibration(self) -> Tensor:
        """(512, 1, 64, 64) float32, images of the training."""
        return self.train.images[:CALIBRATION]

    @torch.no_grad()
    def figure(self, model: nn.Module) -> float:
        """The metric of a network on the test images."""
        with evaluating(model):
            return self.task.figure(model, self.test)

    def finetuned(self, model: nn.Module, spec: FinetuneSpec) -> nn.Module:
        """A copy of a pruned network after a short fine-tuning, half by the targets, half by the dense outputs."""
        tuned = copy.deepcopy(model)
        train(
            tuned,
            self._data(),
            spec.model_copy(update={"batch_size": self.task.batch_size}),
            seed=0,
            teacher=self.model,
            comparison=comparison_of(self.model, self.calibration, self.task.outputs),
            loss=self.task.loss,
        )
        return tuned

    def _data(self) -> TensorDataset:
        return TensorDataset(self.train.images, self.task.targets(self.train))


def trained(task: Task, folder: Path = WORK / "shapes") -> Trained:
    """The dense network, trained on first use. The three drawings have seeds of their own."""
    drawings = [draw(count, 10 + seed) for seed, count in enumerate((TRAIN, VALIDATION, TEST))]
    torch.manual_seed(0)
    found = Trained(task, task.make(), drawings[0], drawings[1], drawings[2])
    file = folder / f"{task.name}.safetensors"
    if not file.is_file():
        train(
            found.model,
            found._data(),
            task.training,
            seed=0,
            loss=task.loss,
            checkpoint=file.with_suffix(".pt"),
            on_epoch=lambda loss: print(f"{task.name}: loss {loss:.4f}", flush=True),
        )
        write_tensors(file, found.model.state_dict())
        file.with_suffix(".pt").unlink(missing_ok=True)
    found.model.load_state_dict(read_tensors(file))
    found.model.eval()
    return found
