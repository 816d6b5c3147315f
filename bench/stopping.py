"""Early stopping: the same 200 candidates with and without it, in five orders. `python bench/stopping.py`. Resumable.

Every candidate is scored once in full; what a search in some order would have looked at follows from the losses image
by image and the rule itself.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import optuna
import torch
from networks import trained
from rows import RESULTS, WORK

from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.files import read_tensors, write_json, write_tensors
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.scoring import TRIAL_IMAGES as VALIDATION
from mendsearch.mending.scoring import _beyond_doubt
from mendsearch.mending.search import Search, pose
from mendsearch.mending.weights import TRIAL_IMAGES as CALIBRATION
from mendsearch.record import versions

RATE, CANDIDATES, ORDERS = 0.2, 200, 5


def losses_of(network: Any, sampler: str) -> torch.Tensor:
    """(200, images) losses of the candidates that a sampler proposes in a search of its own."""
    file = WORK / f"stopping-{sampler}.safetensors"
    if file.is_file():
        return read_tensors(file)["losses"]
    problem = pose(network.model, network.calibration, Budget(macs=RATE))
    search = Search(
        problem, network.ranking, network.statistics, calibration=network.calibration,
        validation=network.splits.validation[0], labels=None, prune=PruneSpec(), mend=MendSpec(),
    )  # fmt: skip
    sampled = make_sampler(sampler, search.space, search.curves, search.starts, 0)
    study, losses = optuna.create_study(direction="maximize", sampler=sampled), []
    for _ in range(CANDIDATES):
        trial = study.ask(search.space.distributions)
        scored = search.scorer.score(search.space.counts(trial.params))
        study.tell(trial, scored.value)
        losses.append(scored.losses)
    write_tensors(file, {"losses": torch.stack(losses)})
    return torch.stack(losses)


def replay(losses: torch.Tensor, order: np.ndarray) -> dict[str, float]:
    """Regret in nats and the fraction of images not looked at, in one order."""
    checks = [round(part * losses.shape[1]) for part in (1 / 8, 1 / 4, 1 / 2)]
    best, seen = None, 0
    for index in order:
        row = losses[index]
        if best is not None:
            stop = next((n for n in checks if _beyond_doubt(row[:n] - best[:n])), None)
            if stop is not None:
                seen += stop
                continue
        seen += len(row)
        if best is None or row.mean() < best.mean():
            best = row
    assert best is not None
    calibration = CALIBRATION * len(losses)
    return {
        "regret": float(best.mean() - losses.mean(1).min()),
        "saved_validation": 1 - seen / losses.numel(),
        "saved_all": 1 - (seen + calibration) / (losses.numel() + calibration),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    network, found = trained("resnet20", arguments.data), {}
    for sampler in ("random", "mending"):
        losses = losses_of(network, sampler)
        orders = [np.arange(CANDIDATES)] + [
            np.random.default_rng(seed).permutation(CANDIDATES) for seed in range(ORDERS - 1)
        ]
        found[sampler] = [replay(losses, order) for order in orders]
        print(sampler, f"best score {-float(losses.mean(1).min()):.4f}", *found[sampler], sep="\n  ", flush=True)
    write_json(
        RESULTS / "stopping.json",
        {"versions": versions(), "validation": VALIDATION, "calibration": CALIBRATION, "orders": found},
    )


if __name__ == "__main__":
    main()
