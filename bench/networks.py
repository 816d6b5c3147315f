"""Trained networks that the benchmarks share, on Fashion-MNIST: ResNet-20, ResNet-50, a VGG and MobileNetV2."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet50

from bench.files import WORK
from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget, DataSpec, FinetuneSpec, MendSpec, PruneSpec, ReconstructionName, TrainSpec
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.files import read_tensors, write_tensors
from mendsearch.mending.search import Problem, Search, build_problem, rank_channels
from mendsearch.mending.weights import Weights
from mendsearch.models.resnet import cifar_resnet, digits_resnet
from mendsearch.progress import Reporter
from mendsearch.ranking import FilterRanking
from mendsearch.training.loop import accuracy, train
from mendsearch.training.sources import open_source
from mendsearch.training.splits import Splits, split


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that the benchmarks on Fashion-MNIST share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    made.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch")
    return made


def small_mobilenet() -> nn.Module:
    """torchvision's MobileNetV2 at half width for one channel of 28x28 pixels: its second stride is one."""
    model = mobilenet_v2(num_classes=10, width_mult=0.5)
    stem = model.features[0][0]
    model.features[0][0] = nn.Conv2d(1, stem.out_channels, 3, 2, 1, bias=False)
    model.features[2].conv[1][0].stride = (1, 1)
    model.classifier[0] = nn.Identity()
    return model  # type: ignore[no-any-return]


def deep_resnet() -> nn.Module:
    """torchvision's ResNet-50 for one channel, whose maps of 28x28 pixels shrink to 1x1."""
    model = resnet50(num_classes=10)
    model.conv1 = nn.Conv2d(1, model.conv1.out_channels, 7, 2, 3, bias=False)
    return model  # type: ignore[no-any-return]


def vgg(in_channels: int = 1, width: int = 24, num_classes: int = 10) -> nn.Module:
    """VGG-16's 13 convolutions (Simonyan and Zisserman, 2015) with batch norms, from `width` to 8 `width` channels.

    On 28x28 pixels the last three convolutions have maps of 1x1. 2.1 M parameters at the default width.
    """
    layers: list[nn.Module] = []
    for stage, (depth, multiple) in enumerate(((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))):
        layers += [nn.MaxPool2d(2)] if stage else []
        for _ in range(depth):
            layers += [nn.Conv2d(in_channels, multiple * width, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(multiple * width), nn.ReLU()]
            in_channels = multiple * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes))


NETWORKS = {
    "resnet20": (lambda: cifar_resnet(depth=20, in_channels=1), TrainSpec(epochs=12)),
    "vgg": (vgg, TrainSpec(epochs=4)),
    "mobilenetv2": (small_mobilenet, TrainSpec(epochs=5)),
    "resnet50": (deep_resnet, TrainSpec(epochs=2)),
}


@dataclass(eq=False)
class Trained:
    """A trained network, its data, and the ranking of its channels."""

    model: nn.Module
    splits: Splits
    coupling: Coupling
    ranking: FilterRanking
    statistics: Any

    def weights(self, kind: ReconstructionName = "sequence") -> Weights:
        """Weights for candidates of this network."""
        return Weights(self.model, self.coupling, self.ranking, self.statistics, self.calibration, kind)

    def limits(self, rate: float) -> Limits:
        """Limits of a budget: a fraction of the dense MACs."""
        return Limits(Budget(macs=rate), build_cost_model(self.model, self.coupling))

    def search(self, rate: float) -> Search:
        """A search at a fraction of the dense MACs, with default settings and without labels."""
        return self.search_within(self.limits(rate))

    def search_within(self, limits: Limits) -> Search:
        """The same within any limits."""
        return Search(
            Problem(self.model, self.coupling, limits),
            self.ranking,
            self.statistics,
            calibration=self.calibration,
            validation=self.splits.validation[0],
            labels=None,
            prune=PruneSpec(),
            mend=MendSpec(),
        )

    @torch.no_grad()
    def judged(self, model: nn.Module) -> float:
        """Accuracy (0-1) of a pruned network on the validation split; it is left in evaluation mode."""
        images, labels = self.splits.validation
        return float((model.eval()(images.tensor).argmax(1) == labels).double().mean())

    def finetuned(self, model: nn.Module, spec: FinetuneSpec, seeds: tuple[int, ...]) -> list[float]:
        """Test accuracy of copies of a pruned network after fine-tuning, one for each seed."""
        found = []
        for seed in seeds:
            tuned = copy.deepcopy(model)
            train(tuned, self.splits.train, spec, seed=seed, augment=self.splits.augment, teacher=self.model)
            found.append(accuracy(tuned, self.splits.test))
        return found

    def counts_of(self, state: Mapping[str, torch.Tensor]) -> Ints:
        """(G,) int64, keep counts of this network as it was pruned by whomever."""
        dense, counts = self.model.state_dict(), []
        for group in self.coupling.groups:
            found = {state[name].shape[dim] * group.width // dense[name].shape[dim] for name, dim in group.outputs}
            (count,) = found  # layers that are coupled have the same channels, whoever pruned them
            counts.append(count)
        return np.array(counts, dtype=np.int64)

    @property
    def calibration(self) -> torch.Tensor:
        """Calibration images, (1024, 1, 28, 28) float32."""
        return self.splits.calibration.tensor


def digits(depth: int, seed: int = 0) -> Trained:
    """A residual network, trained here in seconds on scikit-learn's digits; the data split is always that of seed 0."""
    spec = DataSpec(name="digits")
    splits = split(open_source(spec, 0), spec, 0)
    torch.manual_seed(seed)
    model = digits_resnet(depth=depth)
    train(model, splits.train, TrainSpec(epochs=30), seed=seed, augment=splits.augment)
    return ranked(model, splits, "gram")


def trained(name: str, data: str, criterion: str = "gram") -> Trained:
    """A network by name, trained on first use. Seed 0; 2,000 images are held out, 1,024 are for calibration."""
    spec = DataSpec(name="fashion-mnist", path=data)
    splits = split(open_source(spec, 0), spec, 0)
    torch.manual_seed(0)
    build, train_spec = NETWORKS[name]
    model, file = build(), WORK / f"{name}.safetensors"
    if not file.is_file():
        train(
            model,
            splits.train,
            train_spec,
            seed=0,
            augment=splits.augment,
            checkpoint=WORK / f"{name}.pt",
            on_epoch=lambda loss: print(f"{name}: loss {loss:.4f}", flush=True),
        )
        write_tensors(file, model.state_dict())
        (WORK / f"{name}.pt").unlink(missing_ok=True)
    model.load_state_dict(read_tensors(file))
    return ranked(model, splits, criterion)


def ranked(model: nn.Module, splits: Splits, criterion: str) -> Trained:
    """A trained network with the ranking of its channels."""
    model.eval()
    problem = build_problem(model, splits.calibration, Budget(macs=0.4))
    ranking, statistics = rank_channels(problem, splits.calibration, criterion, 0, Reporter(quiet=True))
    return Trained(model, splits, problem.coupling, ranking, statistics)
