"""No labels, no training, then one short fine-tuning: `python bench/untrained.py`. Resumable.

ResNet-20 on Fashion-MNIST. For each budget: seconds of one call of `mendsearch.mend`, ranking included, and test
accuracy of what it gives; beside it the pre-pruned, uniform and random structures with the same ranking and
reconstruction. Last, most are fine-tuned alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from networks import Trained, trained
from rows import RESULTS, WORK

import mendsearch
from mendsearch.config import FinetuneSpec, MendSpec
from mendsearch.files import read_json, write_json
from mendsearch.mending.search import Search, pose
from mendsearch.record import versions
from mendsearch.training.loop import accuracy, train

RATES = (0.4, 0.2, 0.1)
TRIALS = 100
RANDOM = 3
FINETUNE = FinetuneSpec(epochs=1, images=20000, learning_rate=0.03)
SEEDS = (0, 1)
FINETUNED, LEFT_OUT = (0.4, 0.2), ("random 1", "random 2")
"""What is fine-tuned: two of the budgets, and one of the random structures."""


def kept(name: str, rate: float, work: Any) -> Any:
    """What `work` gives, from the file of an earlier run where there is one."""
    file = WORK / "untrained" / f"{name}-{rate}.json"
    found = read_json(file)
    if found is None:
        found = work()
        write_json(file, found)
        print(name, rate, found, flush=True)
    return found


def mended(network: Trained, rate: float) -> dict[str, Any]:
    """One call, from the dense network to the pruned one."""
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


def search_of(network: Trained, rate: float) -> Search:
    """The parts of that call."""
    problem = pose(network.model, network.calibration, mendsearch.Budget(macs=rate))
    return Search(
        problem, network.ranking, network.statistics, calibration=network.calibration,
        validation=network.splits.validation[0], labels=None, prune=mendsearch.PruneSpec(), mend=MendSpec(),
    )  # fmt: skip


def controls(search: Search) -> dict[str, np.ndarray]:
    """The pre-pruned, the uniform and some random structures."""
    generator = np.random.default_rng(0)
    room = search.problem.coupling.widths - search.space.floor
    drawn = [search.space.project(search.space.floor + generator.integers(0, room + 1)) for _ in range(RANDOM)]
    return {"pre_pruned": search.pre_pruned, "uniform": search.uniform} | {
        f"random {i}": counts for i, counts in enumerate(drawn)
    }


def untrained(network: Trained, search: Search, counts: np.ndarray) -> dict[str, Any]:
    """A control, reconstructed like the mended network."""
    return {
        "score": search.scorer.refined_score(counts),
        "macs": search.problem.limits.model.cost(counts)["macs"],
        "keep_counts": search.problem.coupling.keep_counts(counts),
        "accuracy": accuracy(search.scorer.build(counts), network.splits.test),
    }


def finetuned(network: Trained, search: Search, counts: np.ndarray) -> list[float]:
    """Test accuracy after one pass over 20,000 images, one for each seed."""
    found = []
    for seed in SEEDS:
        model = search.scorer.build(counts)
        train(model, network.splits.train, FINETUNE, seed=seed, augment=network.splits.augment, teacher=network.model)
        found.append(accuracy(model, network.splits.test))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--no-finetune", action="store_true", help="the first part alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    (WORK / "untrained").mkdir(parents=True, exist_ok=True)
    network, rows = trained("resnet20", arguments.data), {}
    for rate in RATES:
        rows[str(rate)] = {"mended": kept("mended", rate, lambda rate=rate: mended(network, rate))}
    for rate in RATES:
        search, row = search_of(network, rate), rows[str(rate)]
        for name, counts in controls(search).items():
            row[name] = kept(name, rate, lambda s=search, c=counts: untrained(network, s, c))
        for name, found in row.items() if rate in FINETUNED and not arguments.no_finetune else ():
            if name in LEFT_OUT:
                continue
            counts = search.problem.coupling.counts(found["keep_counts"])
            found["finetuned"] = kept(f"{name}-tuned", rate, lambda s=search, c=counts: finetuned(network, s, c))
        for name, found in row.items():
            after = statistics.mean(found["finetuned"]) if "finetuned" in found else float("nan")
            print(f"{rate:.0%} {name:12} score {found['score']:.4f} test {found['accuracy']:.4f} -> {after:.4f}")
    dense = accuracy(network.model, network.splits.test)
    print(f"dense {dense:.4f}")
    machine = {"threads": arguments.threads, "device": "cpu"}
    write_json(RESULTS / "untrained.json", {"machine": machine, "versions": versions(), "dense": dense, "rows": rows})


if __name__ == "__main__":
    main()
