"""No labels, no training: `python bench/untrained.py`. Search, seconds and test accuracy at three budgets; then one
short fine-tuning of the same networks. ResNet-20 on Fashion-MNIST. Resumable.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from networks import trained
from rows import RESULTS, WORK

import mendsearch
from mendsearch.config import FinetuneSpec
from mendsearch.files import read_json, write_json
from mendsearch.mending.search import Search, pose, rank_channels
from mendsearch.progress import Reporter
from mendsearch.record import versions
from mendsearch.training.loop import accuracy, train

RATES = (0.4, 0.2, 0.1)
TRIALS = 100
FINETUNE = FinetuneSpec(epochs=1, images=20000, learning_rate=0.03, distillation=0.5)
SEEDS = (0, 1)


def measure(network: Any, rate: float) -> dict[str, Any]:
    """One call of `mendsearch.mend` from the dense network to the pruned one, then the controls, then fine-tuning."""
    splits, budget = network.splits, mendsearch.Budget(macs=rate)
    started = time.perf_counter()
    pruned = mendsearch.mend(
        network.model,
        calibration=splits.calibration,
        validation=splits.validation[0],
        budget=budget,
        n_trials=TRIALS,
        quiet=True,
    )
    seconds = time.perf_counter() - started
    states = [trial.state.name for trial in pruned.study.trials]
    row = {"seconds": seconds, "stopped_early": states.count("PRUNED"), "mended": _row(network, pruned.model)}
    problem = pose(network.model, splits.calibration, budget)
    ranking, statistics = rank_channels(problem, splits.calibration, "gram", 0, Reporter(quiet=True))
    search = Search(
        problem, ranking, statistics, calibration=splits.calibration, validation=splits.validation[0], labels=None,
        prune=mendsearch.PruneSpec(), mend=mendsearch.config.MendSpec(),
    )  # fmt: skip
    for name, counts in {"pre_pruned": search.pre_pruned, "uniform": search.uniform}.items():
        row[name] = _row(network, search.scorer.build(counts))
    return row


def _row(network: Any, model: torch.nn.Module) -> dict[str, Any]:
    before, after = accuracy(model, network.splits.test), []
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for seed in SEEDS:
        model.load_state_dict(state)
        train(model, network.splits.train, FINETUNE, seed=seed, augment=network.splits.augment, teacher=network.model)
        after.append(accuracy(model, network.splits.test))
    return {"accuracy": before, "finetuned": after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network, found = trained("resnet20", arguments.data), {}
    dense = accuracy(network.model, network.splits.test)
    for rate in RATES:
        file = WORK / f"untrained-{rate}.json"
        found[str(rate)] = read_json(file) or measure(network, rate)
        write_json(file, found[str(rate)])
        print(f"{rate:.0%}: dense {dense:.4f}", found[str(rate)], flush=True)
    write_json(
        RESULTS / "untrained.json",
        {"versions": versions(), "threads": arguments.threads, "trials": TRIALS, "dense": dense, "rows": found},
    )


if __name__ == "__main__":
    main()
