"""Fine-tuning with and without clipped gradients (`mendsearch.training.clipping`), where batch norms are missing.

Three small networks on scikit-learn's digits, trained here by the built-in loop: a ConvNeXt and a ViT, which have layer
norms, and convolutions without any norm. Uniform and pre-pruned structures get the default fine-tuning, with
distillation, three seeds. Both sides in one run.
"""

from __future__ import annotations

import copy
import statistics
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.files import write_figures
from bench.networks import Trained, parser, ranked
from mendsearch.config import DataSpec, FinetuneSpec, TrainSpec
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy, train
from mendsearch.training.sources import open_source
from mendsearch.training.splits import split

TAKES = "10 minutes on one core"
SEEDS = (0, 1, 2)


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of (N, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """Liu et al., "A ConvNet for the 2020s", CVPR 2022, figure 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm, self.wide = LayerNorm2d(width), nn.Conv2d(width, 4 * width, 1)
        self.narrow = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Of (N, C, H, W)."""
        return x + self.narrow(functional.gelu(self.wide(self.norm(self.depthwise(x)))))


class ViT(nn.Module):
    """Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; tokens of 2x2 pixels, averaged at the end."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 1, 8, 8)."""
        tokens = self.blocks(self.patches(x).flatten(2).transpose(1, 2) + self.positions)
        return self.head(self.norm(tokens).mean(1))  # type: ignore[no-any-return]


def convnext() -> nn.Module:
    """Two stages, for 8x8 pixels."""
    body = [ConvNextBlock(32), ConvNextBlock(32), LayerNorm2d(32), nn.Conv2d(32, 64, 2, 2), ConvNextBlock(64)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 10)]
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), LayerNorm2d(32), *body, *head)


def without_norms() -> nn.Module:
    """Four convolutions, for 8x8 pixels."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 32), (32, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if inputs == outputs else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {"ConvNeXt": (convnext, (0.35, 0.15)), "ViT": (ViT, (0.6, 0.45)), "no norms": (without_norms, (0.3, 0.1))}
"""Their factories, and fractions of the dense MACs."""


def dense(name: str) -> Trained:
    """A trained network; seed 0."""
    splits = split(open_source(DataSpec(name="digits"), 0), DataSpec(name="digits"), 0)
    torch.manual_seed(0)
    model = NETWORKS[name][0]()
    train(model, splits.train, TrainSpec(epochs=40, learning_rate=0.1), seed=0)
    return ranked(model, splits, "gram")


def tuned(network: Trained, pruned: nn.Module, clipped: bool) -> list[float]:
    """Test accuracies after the default fine-tuning, one for each seed; zero where the loss is no longer finite."""
    found = []
    for seed in SEEDS:
        model = copy.deepcopy(pruned)
        with patch("mendsearch.training.loop.is_clipped", lambda model: clipped):
            train(model, network.splits.train, FinetuneSpec(), seed=seed, teacher=network.model)
        found.append(round(float(accuracy(model, network.splits.test) or 0), 4))
    return found


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    cells: dict[str, Any] = {}
    for name, (_, rates) in NETWORKS.items():
        network = dense(name)
        whole = accuracy(network.model, network.splits.test)
        for rate in rates:
            search = network.search(rate)
            for method, counts in (("uniform", search.uniform), ("pre_pruned", search.pre_pruned)):
                pruned = search.scorer.build(counts)
                row = {"dense": whole, "before": accuracy(pruned, network.splits.test)}
                row |= {side: tuned(network, pruned, side == "clipped") for side in ("plain", "clipped")}
                cells[f"{name}, {rate:.0%}, {method}"] = row
                means = {side: f"{statistics.mean(row[side]):.1%}" for side in ("plain", "clipped")}
                print(
                    f"{name}, {rate:.0%}, {method}: dense {whole:.1%}, before {row['before']:.1%}, {means}", flush=True
                )
    write_figures("clipping", {"versions": versions(), "seeds": SEEDS, "cells": cells})


if __name__ == "__main__":
    main()
