"""A U-Net and a detector on drawn shapes at 40% of the MACs, without training and after a short one. Resumable.

The networks and metrics are those of `examples/`. Beside the mended networks: the pre-pruned, uniform and random ones
with the same reconstruction, and Torch-Pruning's, with its own slices and with recalibrated batch norms. Writes
`bench/results/shapes.json` and `docs/results/shapes.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import mendsearch
from bench.accuracy.drawn_tasks import CALIBRATION, TASKS, TEST, TRAIN, VALIDATION, Trained, trained
from bench.accuracy.shapes_page import page
from bench.accuracy.torch_pruning_peer import WAYS, macs_of, pruned_by_peer, recalibrated
from bench.files import ROOT, WORK, kept, write_figures
from bench.rows import random_structures
from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.files import write_text
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.pipeline.export import versions
from mendsearch.progress import Reporter

TAKES = "half an hour on one core"
RATE, TRIALS, EPOCHS = 0.4, 60, 2
SEEDS = (0, 1, 2)
"""Of the search; each gives a row."""
RANDOM = 4
"""Random structures, of which half are fine-tuned."""


def search_of(network: Trained) -> Search:
    """The search that `mendsearch.mend` makes, for the structures that need none."""
    problem = build_problem(network.model, network.calibration, Budget(macs=RATE), PruneSpec(), network.task.outputs)
    ranking, statistics = rank_channels(problem, network.calibration, "gram", 0, Reporter(quiet=True))
    return Search(
        problem,
        ranking,
        statistics,
        calibration=network.calibration,
        validation=network.validation,
        labels=None,
        prune=PruneSpec(),
        mend=MendSpec(),
    )


def mended(network: Trained, seed: int) -> dict[str, int]:
    """Keep counts that one call of `mendsearch.mend` finds."""
    pruned = mendsearch.mend(
        network.model,
        calibration=network.calibration,
        validation=network.validation,
        budget=mendsearch.Budget(macs=RATE),
        score_outputs=network.task.outputs,
        n_trials=TRIALS,
        seed=seed,
        quiet=True,
    )
    return dict(pruned.keep_counts)


def ours(network: Trained, search: Search) -> Iterator[tuple[str, bool, Callable[[], Ints]]]:
    """Name, whether it is fine-tuned, and keep counts of each structure."""
    folder, coupling = WORK / "shapes", search.problem.coupling
    for seed in SEEDS:
        file = folder / f"{network.task.name}-mended-{seed}-counts.json"
        yield (
            f"mended {seed}",
            True,
            lambda seed=seed, file=file: coupling.counts(kept(file, lambda: mended(network, seed))),
        )
    yield "pre-pruned", True, lambda: search.pre_pruned
    yield "uniform", True, lambda: search.uniform
    for index, counts in enumerate(random_structures(search.space, RANDOM, seed=0)):
        yield f"random {index}", index < RANDOM // 2, lambda counts=counts: counts


def row(network: Trained, model: nn.Module, tuned: bool, **more: Any) -> dict[str, Any]:
    """What is measured of one network."""
    found = {
        "macs": macs_of(model, network.calibration),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "before": network.figure(model),
        **more,
    }
    return found | ({"after": network.figure(network.finetuned(model, EPOCHS))} if tuned else {})


def measured(network: Trained) -> dict[str, dict[str, Any]]:
    """All rows of one network."""
    name, images, search = network.task.name, network.calibration, search_of(network)
    rows = {"dense": kept(_file(name, "dense"), lambda: row(network, network.model, True))}
    for title, tuned, counts in ours(network, search):

        def work(counts: Callable[[], Ints] = counts, tuned: bool = tuned) -> dict[str, Any]:
            found = counts()
            score = round(search.scorer.refined_score(found), 6)
            return row(network, search.scorer.build(found), tuned, score=score, counts=found.tolist())

        rows[title] = kept(_file(name, title), work)
    for way, (norm, across) in WAYS.items():

        def peer(norm: int = norm, across: bool = across) -> dict[str, Any]:
            model = pruned_by_peer(network.model, images, RATE, norm, across)
            return row(network, recalibrated(model, images), True, slices=network.figure(model))

        rows[f"Torch-Pruning, {way}"] = kept(_file(name, f"peer {way}"), peer)
    return rows


def _file(name: str, title: str) -> Any:
    return WORK / "shapes" / f"{name}-{title.replace(', ', '-').replace(' ', '-')}.json"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {task.name: measured(trained(task)) for task in TASKS}
    settings = {"rate": RATE, "trials": TRIALS, "epochs": EPOCHS, "searches": len(SEEDS), "random": RANDOM}
    images = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "calibration": CALIBRATION}
    write_figures("shapes", {"versions": versions(), "settings": settings, "images": images, "rows": found})
    text = page(found, settings | images)
    write_text(ROOT / "docs" / "results" / "shapes.md", text)


if __name__ == "__main__":
    main()
