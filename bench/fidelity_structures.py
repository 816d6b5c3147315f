"""Random structures, fine-tuned: what a score should know beforehand. `python bench/fidelity_structures.py`. Resumable.

The long part of the fidelity figures: hours on one core. `bench/fidelity.py` then scores the same structures.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from networks import NETWORKS, Trained, trained
from rows import WORK

from mendsearch.config import Budget, FinetuneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import read_json, write_json
from mendsearch.mending.search import pose
from mendsearch.mending.space import Space
from mendsearch.mending.weights import Weights
from mendsearch.prepruning import cut
from mendsearch.training.loop import accuracy, train

PLAN = {("resnet20", 0.2): 48, ("resnet20", 0.4): 24, ("resnet20", 0.1): 24, ("mobilenetv2", 0.4): 16}
"""Structures by network and fraction of the MACs."""
SEEDS = (0, 1)
FINETUNE = FinetuneSpec(epochs=1, images=5000, learning_rate=0.02, distillation=0.5)


def structures(network: Trained, rate: float, count: int) -> list[Ints]:
    """(count, G) feasible structures: restorations above a thin floor drawn evenly, projected onto the budget."""
    problem = pose(network.model, network.calibration, Budget(macs=rate))
    space = Space(cut("uniform", network.ranking, [], problem.limits, scale=0.3), problem.limits)
    generator = np.random.default_rng(0)
    room = problem.coupling.widths - space.floor
    return [space.project(space.floor + generator.integers(0, room + 1)) for _ in range(count)]


def finetuned(network: Trained, weights: Weights, counts: Ints) -> list[float]:
    """Test accuracy of one structure after fine-tuning, one for each seed."""
    found, state = [], weights.refined(counts)
    for seed in SEEDS:
        pruned = build_pruned(network.model, state)
        train(pruned, network.splits.train, FINETUNE, seed=seed, augment=network.splits.augment, teacher=network.model)
        found.append(accuracy(pruned, network.splits.test))
    return found


def path(name: str, rate: float, index: int) -> Any:
    """Where one structure's figures are kept."""
    return WORK / "fidelity" / f"{name}-{rate}-{index}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    (WORK / "fidelity").mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        network = trained(name, arguments.data)
        weights = network.weights()
        for (of, rate), count in PLAN.items():
            if of != name:
                continue
            for index, counts in enumerate(structures(network, rate, count)):
                kept, file = network.coupling.keep_counts(counts), path(name, rate, index)
                earlier = read_json(file)
                if earlier is not None and earlier["keep_counts"] == kept:
                    continue
                accuracies = finetuned(network, weights, counts)
                write_json(file, {"keep_counts": kept, "accuracies": accuracies})
                print(name, rate, index, accuracies, flush=True)


if __name__ == "__main__":
    main()
