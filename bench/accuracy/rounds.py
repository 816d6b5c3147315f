"""Whether it pays to mend in rounds: dense to 40%, fine-tuning, ranking again, then to the budget. Resumable.

Both ways get the same fine-tuning in all, with the dense network as the teacher: two thirds of a pass at the end, or
one third after each round. ResNet-20 on Fashion-MNIST.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import nn

import mendsearch
from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from bench.remembered import Remembered
from mendsearch.config import FinetuneSpec
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy, train

TAKES = "an hour on one core"
RATES = (0.1, 0.05)
FIRST = 0.4
"""Fraction of the MACs after the first round."""
SEEDS = (0, 1, 2)
TRIALS, IMAGES, LEARNING_RATE = 100, 20_000, 0.05


class Ways:
    """The two ways to a budget.

    Args:
        network: the dense network and its data.
    """

    def __init__(self, network: Trained) -> None:
        self._network, self._teacher = network, Remembered(network.model)

    def at_once(self, rate: float, seed: int) -> dict[str, float]:
        """Mend once, fine-tune twice as long."""
        pruned = self._mended(self._network.model, mendsearch.Budget(macs=rate), seed)
        return self._ended(pruned.model, pruned.score, seed, epochs=2)

    def in_rounds(self, rate: float, seed: int) -> dict[str, float]:
        """Mend to `FIRST`, fine-tune, mend the result, fine-tune again."""
        first = self._mended(self._network.model, mendsearch.Budget(macs=FIRST), seed)
        self._ended(first.model, first.score, seed, epochs=1)
        dense = self._network.limits(rate).costs.cost(self._network.coupling.widths)["macs"]
        second = self._mended(first.model, mendsearch.Budget(macs=int(rate * dense)), seed)
        return self._ended(second.model, second.score, seed + len(SEEDS), epochs=1)

    def _mended(self, model: nn.Module, budget: mendsearch.Budget, seed: int) -> Any:
        network = self._network
        validation = network.splits.validation[0]
        return mendsearch.mend(
            model,
            calibration=network.calibration,
            validation=validation,
            budget=budget,
            n_trials=TRIALS,
            seed=seed,
            quiet=True,
        )

    def _ended(self, model: nn.Module, score: float, seed: int, epochs: int) -> dict[str, float]:
        """Fine-tune in place; score and test accuracy before, and test accuracy after."""
        splits = self._network.splits
        before = accuracy(model, splits.test)
        spec = FinetuneSpec(epochs=epochs, images=IMAGES, learning_rate=LEARNING_RATE)
        train(model, splits.train, spec, seed=seed, augment=splits.augment, teacher=self._teacher)
        return {"score": score, "before": float(before or 0), "after": float(accuracy(model, splits.test) or 0)}


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    network = trained("resnet20", arguments.data)
    ways, cells = Ways(network), {}
    for rate in RATES:
        rows: dict[str, Any] = {}
        for name, way in {"at once": ways.at_once, "in rounds": ways.in_rounds}.items():
            rows[name] = [
                kept(WORK / "rounds" / f"{name}-{rate}-{seed}.json", lambda w=way, r=rate, s=seed: w(r, s))
                for seed in SEEDS
            ]
        cells[f"{rate:.0%}"] = rows
    for title, rows in cells.items():
        for name, found in rows.items():
            after = [row["after"] for row in found]
            print(f"{title} {name}: {100 * statistics.mean(after):.2f} ± {100 * statistics.stdev(after):.2f}")
    machine = {"threads": arguments.threads, "device": "cpu"}
    write_figures("rounds", {"machine": machine, "versions": versions(), "cells": cells})


if __name__ == "__main__":
    main()
