"""Accuracy without labels or training, then after one short fine-tuning: ResNet-20 on Fashion-MNIST. Resumable.

For each budget: seconds of one call of `mendsearch.mend`, ranking included, and the test accuracy of its network. The
controls are the pre-pruned, uniform and random structures with the same ranking and reconstruction.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch

import mendsearch
from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from mendsearch.config import FinetuneSpec
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import Search
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy

TAKES = "half an hour"
RATES = (0.4, 0.2, 0.1)
TRIALS = 100
RANDOM = 3
FINETUNE = FinetuneSpec(epochs=1, images=20000, learning_rate=0.03)
SEEDS = (0, 1)
FINETUNED, LEFT_OUT = (0.4, 0.2), ("random 1", "random 2")
"""Budgets at which networks are fine-tuned, and random structures that are not."""


def mended(network: Trained, rate: float) -> dict[str, Any]:
    """One call of `mendsearch.mend`, from the dense network to the pruned one."""
    started = time.perf_counter()
    pruned = mendsearch.mend(
        network.model,
        calibration=network.calibration,
        validation=network.splits.validation[0],
        budget=mendsearch.Budget(macs=rate),
        n_trials=TRIALS,
        quiet=True,
    )
    seconds = time.perf_counter() - started
    states = [trial.state.name for trial in pruned.study.trials]
    return {
        "seconds": seconds,
        "stopped_early": states.count("PRUNED"),
        "score": pruned.score,
        "macs": pruned.macs,
        "keep_counts": pruned.keep_counts,
        "accuracy": accuracy(pruned.model, network.splits.test),
    }


def controls(search: Search) -> dict[str, np.ndarray]:
    """The pre-pruned, the uniform and some random structures."""
    drawn = random_structures(search.space, RANDOM, seed=0)
    return {"pre_pruned": search.pre_pruned, "uniform": search.uniform} | {
        f"random {i}": counts for i, counts in enumerate(drawn)
    }


def untrained(network: Trained, search: Search, counts: np.ndarray) -> dict[str, Any]:
    """A control, reconstructed like the mended network."""
    return {
        "score": search.scorer.refined_score(counts),
        "macs": search.problem.limits.costs.cost(counts)["macs"],
        "keep_counts": search.problem.coupling.keep_counts(counts),
        "accuracy": accuracy(search.scorer.build(counts), network.splits.test),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--no-finetune", action="store_true", help="skip the fine-tuning")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    work = WORK / "untrained"
    network, rows = trained("resnet20", arguments.data), {}
    for rate in RATES:
        rows[str(rate)] = {"mended": kept(work / f"mended-{rate}.json", lambda rate=rate: mended(network, rate))}
    for rate in RATES:
        search, row = network.search(rate), rows[str(rate)]
        for name, counts in controls(search).items():
            row[name] = kept(work / f"{name}-{rate}.json", lambda s=search, c=counts: untrained(network, s, c))
        for name, found in row.items() if rate in FINETUNED and not arguments.no_finetune else ():
            if name in LEFT_OUT:
                continue
            counts = search.problem.coupling.counts(found["keep_counts"])
            model = search.scorer.build(counts)
            found["finetuned"] = kept(
                work / f"{name}-tuned-{rate}.json", lambda m=model: network.finetuned(m, FINETUNE, SEEDS)
            )
        for name, found in row.items():
            after = statistics.mean(found["finetuned"]) if "finetuned" in found else float("nan")
            print(f"{rate:.0%} {name:12} score {found['score']:.4f} test {found['accuracy']:.4f} -> {after:.4f}")
    dense = accuracy(network.model, network.splits.test)
    print(f"dense {dense:.4f}")
    machine = {"threads": arguments.threads, "device": "cpu"}
    write_figures("untrained", {"machine": machine, "versions": versions(), "dense": dense, "rows": rows})


if __name__ == "__main__":
    main()
