"""What looks cost, and how their order of structures agrees with the refined order. Resumable."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from bench.passes import bare_seconds
from bench.taus import tau
from mendsearch.coupling.layout import Ints
from mendsearch.mending.random import random_structures
from mendsearch.mending.scoring import Scorer
from mendsearch.pipeline.export import versions
from mendsearch.training.splits import gather

TAKES = "15 minutes"
PLAN = {"resnet20": (0.2, 0.1), "vgg": (0.12, 0.3)}
"""Fractions of the MACs by network."""
RANDOM = 10
"""Random structures; the five structures that every search starts with are scored too."""
UNSEEN = 3000
"""Images of the test split that all rungs are scored on, at the most."""
Way = Callable[[Ints], dict[str, Tensor]]


def rungs(network: Trained) -> Iterator[tuple[str, Way]]:
    """Each rung: its name, and a function from keep counts to a state dict."""
    for name, kind in (("bn only", "none"), ("channels", "channels"), ("sequence", "sequence")):
        yield name, network.weights(kind).of  # type: ignore[arg-type]
    yield "sequence, 256 images", few_images(network, 256)
    yield "sequence, 64 images", few_images(network, 64)
    yield "refined", network.weights().refined


def few_images(network: Trained, images: int) -> Way:
    """Reconstruction in sequence from so many images, however small the maps are."""
    weights = network.weights()
    weights.trial_items = images
    return weights.of


def measured(network: Trained, rate: float) -> dict[str, Any]:
    """By rung: the score of each structure on unseen images, and processor seconds of a candidate."""
    search = network.search(rate)
    structures = random_structures(search.space, RANDOM, seed=0) + search.starts
    count = min(UNSEEN, len(network.splits.test))  # type: ignore[arg-type]
    unseen, _ = gather(network.splits.test, list(range(count)))
    scorer = Scorer(network.weights("none"), unseen, None)
    bare = [bare_seconds(scorer.weights, counts, network.calibration) for counts in structures]
    found: dict[str, Any] = {"bare": statistics.mean(bare)}
    for name, way in rungs(network):
        way(network.coupling.widths // 2)
        started = time.process_time()
        states = [way(counts) for counts in structures]
        seconds = (time.process_time() - started) / len(structures)
        scored = [scorer._evaluate(state, count) for state in states]
        found[name] = {
            "seconds": seconds,
            "scores": [each.value for each in scored],
            "top1_agreement": statistics.mean(each.top1_agreement or 0.0 for each in scored),
        }
        print(rate, name, found[name], flush=True)
    return found


def summary(cell: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By look: seconds, as a multiple of the bare pass too, and tau with the refined score."""
    return {
        name: {
            "seconds": look["seconds"],
            "bare_passes": look["seconds"] / cell["bare"],
            "tau": tau(look["scores"], cell["refined"]["scores"]),
            "score": float(np.mean(look["scores"])),
            "top1_agreement": look["top1_agreement"],
        }
        for name, look in cell.items()
        if name != "bare"
    }


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    cells: dict[str, dict[str, Any]] = {}
    for name, rates in PLAN.items():
        files = {rate: WORK / "rungs" / f"{name}-{rate}.json" for rate in rates}
        network = None if all(file.is_file() for file in files.values()) else trained(name, arguments.data)
        for rate, file in files.items():
            cells[f"{name}, {rate:.0%}"] = kept(file, lambda n=network, r=rate: measured(n, r))
    tables = {title: summary(cell) for title, cell in cells.items()}
    for title, rows in tables.items():
        print(f"\n{title}")
        for rung, row in rows.items():
            print(f"  {rung:22}" + "".join(f" {key} {value:.3f}" for key, value in row.items()))
    machine = {"threads": arguments.threads, "device": "cpu"}
    write_figures("rungs", {"machine": machine, "versions": versions(), "summary": tables, "cells": cells})


if __name__ == "__main__":
    main()
