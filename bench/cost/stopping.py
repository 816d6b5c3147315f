"""Images saved by early stopping, and regret: 200 candidates in twenty orders. Resumable.

Every candidate is scored once on all images. What a search in another order would have read follows from the losses
per image and the stopping rule.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import optuna
import torch

import mendsearch.mending.scoring as scoring_module
from bench.files import WORK, write_figures
from bench.networks import parser, trained
from mendsearch.files import read_tensors, write_tensors
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.weights import TRIAL_IMAGES as CALIBRATION
from mendsearch.pipeline.export import versions

TAKES = "10 minutes"
RATE, CANDIDATES, ORDERS = 0.2, 200, 20
DOUBTS = (1.0, 1.5, 2.0, 2.5)
"""Thresholds in standard errors; for the one in use, the first five orders are stored one by one."""


def losses_of(network: Any, sampler: str) -> torch.Tensor:
    """Losses (200, images) of the candidates that a sampler proposes in its own search."""
    file = WORK / f"stopping-{sampler}.safetensors"
    if file.is_file():
        return read_tensors(file)["losses"]
    search = network.search(RATE)
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
    """Regret in nats, and the fraction of images that were not read, in one order."""
    checks = [round(part * losses.shape[1]) for part in scoring_module.CHECKS]
    best, seen = None, 0
    for index in order:
        row = losses[index]
        if best is not None:
            stop = next((n for n in checks if scoring_module._beyond_doubt(row[:n] - best[:n])), None)
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
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    network, found = trained("resnet20", arguments.data), {}
    in_use = scoring_module.DOUBT
    for sampler in ("random", "mending"):
        losses = losses_of(network, sampler)
        orders = [np.arange(CANDIDATES)] + [
            np.random.default_rng(seed).permutation(CANDIDATES) for seed in range(ORDERS - 1)
        ]
        for doubt in DOUBTS:
            scoring_module.DOUBT = doubt
            replays = [replay(losses, order) for order in orders]
            regrets, saved = ([row[key] for row in replays] for key in ("regret", "saved_all"))
            entry = {"worst_regret": max(regrets), "mean_saved": statistics.mean(saved), "least_saved": min(saved)}
            found[f"{sampler}, {doubt} standard errors"] = entry | ({"orders": replays[:5]} if doubt == in_use else {})
            print(sampler, doubt, entry, flush=True)
    machine = {"validation": scoring_module.TRIAL_IMAGES, "calibration": CALIBRATION}
    write_figures("stopping", {"versions": versions(), **machine, "found": found})


if __name__ == "__main__":
    main()
