"""A U-Net and a detector on drawn shapes at 40% of the MACs, without training and after a short one. Resumable.

The networks and metrics are those of `examples/`. Beside the mended networks: the pre-pruned, uniform and random ones
with the same reconstruction, and Torch-Pruning's, with its own slices and with recalibrated batch norms. Writes
`bench/results/shapes.json` and `docs/results/shapes.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mendsearch
from bench.accuracy.drawn_tasks import CALIBRATION, TASKS, TEST, TRAIN, VALIDATION, Trained, trained
from bench.accuracy.shapes_page import page
from bench.accuracy.torch_pruning_peer import WAYS, macs_of, pruned_by_peer, recalibrated
from bench.files import ROOT, WORK, kept, write_figures
from mendsearch.config import Budget, FinetuneSpec, MendSpec, PruneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.files import write_text
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.pipeline.export import versions
from mendsearch.progress import Reporter

TAKES = "half an hour on one core"
RATE, TRIALS = 0.4, 60
RANDOM, LEFT_OUT = 4, ("random 2", "random 3")
"""Random structures, and those that are not fine-tuned."""
FINETUNE = FinetuneSpec(epochs=2, images=800)
PEER = "Torch-Pruning"


def search_of(network: Trained) -> Search:
    """The search that `mendsearch.mend` makes, for the structures that need none."""
    problem = build_problem(network.model, network.calibration, Budget(macs=RATE), PruneSpec(), network.task.outputs)
    ranking, statistics = rank_channels(problem, network.calibration, "gram", 0, Reporter(quiet=True))
    return Search(
        problem,
        ranking,
        statistics,
        calibration=network.calibration,
        validation=network.validation.images,
        labels=None,
        prune=PruneSpec(),
        mend=MendSpec(),
    )


def mended(network: Trained, seed: int, *, by_metric: bool = False) -> dict[str, int]:
    """Keep counts that one call of `mendsearch.mend` finds, by the agreement or by the metric and labels."""
    task, held = network.task, network.validation
    pruned = mendsearch.mend(
        network.model,
        calibration=network.calibration,
        validation=(held.images, task.targets(held)) if by_metric else held.images,
        budget=mendsearch.Budget(macs=RATE),
        score=task.metric if by_metric else "agreement",
        score_outputs=None if by_metric else task.outputs,
        n_trials=TRIALS,
        seed=seed,
        quiet=True,
    )
    return dict(pruned.keep_counts)


def ours(network: Trained, search: Search, searches: int) -> dict[str, Callable[[], Ints]]:
    """By name, how the keep counts of a structure are found."""
    coupling = search.problem.coupling
    found: dict[str, Callable[[], Ints]] = {
        f"mended {seed}": lambda seed=seed: coupling.counts(
            kept(_file(network, f"mended {seed} counts"), lambda: mended(network, seed))
        )
        for seed in range(searches)
    }
    found["by its metric"] = lambda: coupling.counts(
        kept(_file(network, "by its metric counts"), lambda: mended(network, 0, by_metric=True))
    )
    structures = {"pre-pruned": search.pre_pruned, "uniform": search.uniform}
    structures |= {f"random {i}": counts for i, counts in enumerate(random_structures(search.space, RANDOM, seed=0))}
    return found | {name: lambda counts=counts: counts for name, counts in structures.items()}


class Rows:
    """Pruned networks of a task, and what is measured of each."""

    def __init__(self, network: Trained, searches: int) -> None:
        self.network, self._search = network, search_of(network)
        self._ours = ours(network, self._search, searches)

    def untrained(self) -> dict[str, dict[str, Any]]:
        """By name, figures without training."""
        names = ["dense", *self._ours, *(f"{PEER}, {way}" for way in WAYS)]
        return {name: kept(_file(self.network, name), lambda name=name: self._figures(name)) for name in names}

    def tuned(self, name: str) -> float:
        """The figure of one after fine-tuning."""
        network = self.network
        return kept(  # type: ignore[no-any-return]
            _file(network, f"{name} tuned"), lambda: network.figure(network.finetuned(self._model(name), FINETUNE))
        )

    def _model(self, name: str) -> nn.Module:
        network = self.network
        if name in self._ours:
            return self._search.scorer.build(self._ours[name]())
        return network.model if name == "dense" else recalibrated(self._raw(name), network.calibration)

    def _raw(self, name: str) -> nn.Module:
        way = name.removeprefix(f"{PEER}, ")
        return pruned_by_peer(self.network.model, self.network.calibration, RATE, WAYS[way])

    def _figures(self, name: str) -> dict[str, Any]:
        model = self._model(name)
        found = {
            "macs": macs_of(model, self.network.calibration),
            "params": sum(parameter.numel() for parameter in model.parameters()),
            "before": self.network.figure(model),
        }
        if name in self._ours:
            counts = self._ours[name]()
            score = round(self._search.scorer.refined_score(counts), 6)
            found |= {"score": score, "keep_counts": counts.tolist()}
        return found | ({"slices": self.network.figure(self._raw(name))} if name.startswith(PEER) else {})


def _file(network: Trained, title: str) -> Path:
    return WORK / "shapes" / f"{network.task.name}-{title}.json".replace(",", "").replace(" ", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-finetune", action="store_true", help="skip the fine-tuning")
    parser.add_argument("--searches", type=int, default=3, help="seeds of the search")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    all_rows = {task.name: Rows(trained(task), arguments.searches) for task in TASKS}
    for name, rows in all_rows.items():
        found[name] = rows.untrained()
        write(found, arguments.searches)
    for name, rows in all_rows.items() if not arguments.no_finetune else ():
        for title, figures in found[name].items():
            if title not in LEFT_OUT:
                figures["after"] = rows.tuned(title)
                write(found, arguments.searches)


def write(found: dict[str, dict[str, dict[str, Any]]], searches: int) -> None:
    """Figures and page, as far as they go."""
    settings = {"rate": RATE, "trials": TRIALS, "searches": searches, "random": RANDOM}
    images = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "calibration": CALIBRATION}
    settings |= images | {"epochs": FINETUNE.epochs, "tuning": FINETUNE.images}
    write_figures("shapes", {"versions": versions(), "settings": settings, "rows": found})
    write_text(ROOT / "docs" / "results" / "shapes.md", page(found, settings))


if __name__ == "__main__":
    main()
