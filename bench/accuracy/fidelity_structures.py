"""Random structures, fine-tuned: the ground truth for `bench.accuracy.fidelity`. Resumable."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.files import WORK
from bench.networks import Trained, parser, trained
from mendsearch.config import FinetuneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import read_json, write_json
from mendsearch.mending.random import random_structures
from mendsearch.mending.space import Space
from mendsearch.prepruning import cut

TAKES = "several hours on one core"
PLAN = {("resnet20", 0.2): 48, ("resnet20", 0.4): 24, ("resnet20", 0.1): 24, ("mobilenetv2", 0.4): 16}
"""Structures by network and fraction of the MACs."""
NETWORKS = tuple(dict.fromkeys(name for name, _ in PLAN))
SEEDS = (0, 1)
FINETUNE = FinetuneSpec(epochs=1, images=5000, learning_rate=0.02, distillation=0.5)


def structures(network: Trained, rate: float, count: int) -> list[Ints]:
    """Feasible structures (count, G): uniform random restorations above a low floor, projected onto the budget."""
    limits = network.limits(rate)
    return random_structures(Space(cut("uniform", network.ranking, [], limits, scale=0.3), limits), count, seed=0)


def path(name: str, rate: float, index: int) -> Path:
    """File for the accuracies of one structure."""
    return WORK / "fidelity" / f"{name}-{rate}-{index}.json"


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
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
                pruned = build_pruned(network.model, weights.refined(counts))
                accuracies = network.finetuned(pruned, FINETUNE, SEEDS)
                write_json(file, {"keep_counts": kept, "accuracies": accuracies})
                print(name, rate, index, accuracies, flush=True)


if __name__ == "__main__":
    main()
