"""After fine-tuning, at high rates: our networks beside those of Torch-Pruning and FastNAS. Resumable.

All methods prune one dense network to at most the same MACs, and get the same fine-tuning with distillation, at the
learning rate that is better for them on the validation split with seed 0. Peers enter twice: with the weights that they
slice, batch norms recalibrated, and with their structure and our ranking and reconstruction. A seed is one of random
structures, searches and fine-tunings.
"""

from __future__ import annotations

import copy
import time
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

import mendsearch
from bench.accuracy.fastnas_peer import pruned_by_fastnas
from bench.accuracy.head_to_head_table import FINALISTS, show, summary
from bench.accuracy.torch_pruning_peer import NoneSoSmall, Way, macs_of, pruned_by_peer, recalibrated
from bench.files import WORK, kept, read_figures, write_figures
from bench.networks import Trained, parser, trained
from bench.remembered import Remembered
from mendsearch.config import FinetuneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import read_tensors, write_tensors
from mendsearch.mending.random import random_structures
from mendsearch.pipeline.export import versions
from mendsearch.progress import Reporter
from mendsearch.study.finalists import choose
from mendsearch.training.loop import accuracy, train
from mendsearch.training.splits import gather

TAKES = "8 hours on one core"
PLAN = {"resnet20": (0.1, 0.05, 0.3), "vgg": (0.1, 0.05, 0.3), "mobilenetv2": (0.1, 0.05, 0.3)}
"""Fractions of the MACs by network."""
TUNINGS = {"a third": (1, 20_000), "one": (1, None), "ten": (10, None)}
"""Passes of the fine-tuning, by name: epochs, and training images of each."""
LEARNING_RATES = (0.01, 0.05)
TRIALS = 100
LABELLED = 512
"""Training images for the Taylor expansion."""
PEERS: dict[str, Way | None] = {
    "Torch-Pruning L2, global": Way(2, True),
    "Torch-Pruning L2, isomorphic": Way(2, True, isomorphic=True),
    "Torch-Pruning Taylor": Way(None, True),
    "Torch-Pruning Taylor, 5 steps": Way(None, True, steps=5),
    "FastNAS": None,
}
OURS = ", our weights"
OWN = (*FINALISTS, "random")
METHODS = (*OWN, *PEERS, *(peer + OURS for peer in PEERS))


class Cell:
    """One network at one budget.

    Args:
        name: name of the network.
        network: the network.
        rate: fraction of the dense MACs.
        teacher: the dense network, for distillation.
    """

    def __init__(self, name: str, network: Trained, rate: float, teacher: nn.Module) -> None:
        self._title, self._network, self._rate, self._teacher = f"{name}-{rate}", network, rate, teacher
        self._folder = WORK / "head-to-head"
        self._test = network.splits.test

    @cached_property
    def _search(self) -> Any:
        return self._network.search(self._rate)

    def tuned(self, method: str, seed: int, learning_rate: float, passes: str) -> dict[str, float]:
        """Accuracies on the validation and the test split after fine-tuning."""
        return self._kept(  # type: ignore[no-any-return]
            f"{method}-{seed}-{passes}-{learning_rate}", lambda: self._tune(method, seed, learning_rate, passes)
        )

    def facts(self, method: str) -> dict[str, Any]:
        """Of the network with seed 0: MACs, parameters, and accuracy on the test split before fine-tuning."""
        return self._kept(f"{method}-facts", lambda: self._facts(method))  # type: ignore[no-any-return]

    def _facts(self, method: str) -> dict[str, Any]:
        model = self._model(method, 0)
        return {
            "macs": macs_of(model, self._network.calibration) / macs_of(self._network.model, self._network.calibration),
            "params": sum(parameter.numel() for parameter in model.parameters()),
            "before": accuracy(model, self._test),
        }

    def _tune(self, method: str, seed: int, learning_rate: float, passes: str) -> dict[str, float]:
        model, splits = copy.deepcopy(self._model(method, seed)), self._network.splits
        epochs, images = TUNINGS[passes]
        spec = FinetuneSpec(epochs=epochs, images=images, learning_rate=learning_rate)
        train(model, splits.train, spec, seed=seed, augment=splits.augment, teacher=self._teacher)
        return {"validation": self._network.judged(model), "test": float(accuracy(model, self._test) or 0)}

    def _model(self, method: str, seed: int) -> nn.Module:
        if method in PEERS:
            return build_pruned(self._network.model, self._peer(method)).eval()
        return self._search.scorer.build(self._counts(method, seed))  # type: ignore[no-any-return]

    def _counts(self, method: str, seed: int) -> Ints:
        if method == "random":
            return random_structures(self._search.space, seed + 1, seed=0)[-1]
        if method in FINALISTS:
            return np.array(self._finalists(seed)[method], dtype=np.int64)
        return self._network.counts_of(self._peer(method.removesuffix(OURS)))

    def _finalists(self, seed: int) -> dict[str, Any]:
        return self._kept(f"finalists-{seed}", lambda: self._mend(seed))  # type: ignore[no-any-return]

    def _mend(self, seed: int) -> dict[str, Any]:
        network, started = self._network, time.process_time()
        pruned = mendsearch.mend(
            network.model,
            calibration=network.calibration,
            validation=network.splits.validation[0],
            budget=mendsearch.Budget(macs=self._rate),
            n_trials=TRIALS,
            seed=seed,
            quiet=True,
        )
        seconds = time.process_time() - started
        found = choose(pruned.study, self._search, 3, seed, Reporter(quiet=True))
        return {name: each.counts.tolist() for name, each in found.items()} | {"seconds": seconds}

    def has(self, method: str) -> bool:
        """Whether the method has a network that small."""
        peer = method.removesuffix(OURS)
        return peer not in PEERS or bool(self._peer(peer))

    def _peer(self, name: str) -> dict[str, torch.Tensor]:
        """State dict of a peer's network, batch norms recalibrated; empty if it has none that small."""
        file = self._folder / f"{self._title}-{name.replace(',', '').replace(' ', '-')}.safetensors"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                found = recalibrated(self._prune(PEERS[name]), self._network.calibration).state_dict()
            except NoneSoSmall:
                found = {}
            write_tensors(file, found)
        return read_tensors(file)

    def _prune(self, way: Way | None) -> nn.Module:
        images, model = self._network.calibration, self._network.model
        if way is None:
            return pruned_by_fastnas(model, images, self._rate, self._network.judged)
        few, labels = gather(self._network.splits.train, list(range(LABELLED)))
        return pruned_by_peer(model, images if way.norm else few.tensor, self._rate, way, labels)

    def _kept(self, title: str, work: Any) -> Any:
        return kept(self._folder / f"{self._title}-{title}.json".replace(",", "").replace(" ", "-"), work)


def rows(cell: Cell, passes: str, methods: tuple[str, ...], seeds: int) -> dict[str, dict[str, Any]]:
    """By method, what it is and how it ends, one value a seed; without those that have no network that small."""
    found: dict[str, dict[str, Any]] = {}
    for method in filter(cell.has, methods):
        first = {rate: cell.tuned(method, 0, rate, passes) for rate in LEARNING_RATES}
        best = max(LEARNING_RATES, key=lambda rate: first[rate]["validation"])
        ends = [first[best], *(cell.tuned(method, seed, best, passes) for seed in range(1, seeds))]
        by_split = {split: [end[split] for end in ends] for split in ("validation", "test")}
        found[method] = cell.facts(method) | {"learning_rate": best} | by_split
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--network", choices=PLAN, action="append", help="all when not given; figures of others stay")
    options.add_argument("--rate", type=float, action="append", help="fractions of the MACs; all when not given")
    options.add_argument("--passes", choices=TUNINGS, action="append", help="of the fine-tuning; all when not given")
    options.add_argument(
        "--seeds", type=int, default=3, help="searches, random structures and fine-tunings of each method"
    )
    options.add_argument("--ours", action="store_true", help="leave the peers out; writes head-to-head-ours.json")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = {"threads": arguments.threads, "device": "cpu"}
    file, methods = ("head-to-head-ours", OWN) if arguments.ours else ("head-to-head", METHODS)
    known = read_figures(file) or {"cells": {}, "dense": {}}
    cells, dense = known["cells"], known["dense"]
    for name in arguments.network or PLAN:
        network = trained(name, arguments.data)
        teacher = Remembered(network.model)
        whole = accuracy(network.model, network.splits.test)
        for passes in arguments.passes or TUNINGS:
            for rate in arguments.rate or PLAN[name]:
                title = f"{name}, {rate:.0%}, passes: {passes}"
                cells[title] = rows(Cell(name, network, rate, teacher), passes, methods, arguments.seeds)
                dense[title] = whole
                value = {"machine": machine, "versions": versions(), "dense": dense, "cells": cells}
                write_figures(file, value | {"summary": summary(cells)})  # a cell takes an hour
    show(cells)


if __name__ == "__main__":
    main()
