"""How each rung agrees with the whole fine-tuning: ResNet-20 at 10% of the MACs on Fashion-MNIST. Resumable.

Looks are scored on the validation images without labels; fine-tuned rungs are accuracies on the same images, as in a
run. The truth is the test accuracy after the whole fine-tuning, mean of two seeds that no rung has seen. Tau is
Kendall's, with the bootstrap interval of the structures.
"""

from __future__ import annotations

import copy
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from bench.remembered import Remembered
from bench.taus import interval, tau
from mendsearch.config import FinetuneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.mending.ladder import RUNGS, part_of
from mendsearch.mending.random import random_structures
from mendsearch.mending.scoring import Scorer
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy, train

TAKES = "40 minutes on one core"
RATE = 0.1
RANDOM = 14
"""Random structures; those that every search starts with are looked at too."""
TUNING = FinetuneSpec(epochs=1, images=20_000, learning_rate=0.01)
"""A third of a pass."""
TRUTHS = (10, 20)
"""Seeds of the fine-tunings that are the truth."""
RESAMPLES = 2000
CONTROL = "batch norms alone"
TUNED = tuple(f"fine-tuned, {part:.0%}" for part in RUNGS)


class Climbs:
    """Structures of one network on all rungs.

    Args:
        network: the dense network and its data.
    """

    def __init__(self, network: Trained) -> None:
        self._network, self._teacher = network, Remembered(network.model)
        self._search = network.search(RATE)

    def rows(self) -> list[dict[str, Any]]:
        """Of each structure its values by rung, and `truth`, a test accuracy for each seed."""
        structures = random_structures(self._search.space, RANDOM, seed=0) + self._search.starts
        folder = WORK / "rungs-tuned"
        return [kept(folder / f"{'-'.join(map(str, one))}.json", partial(self._row, one)) for one in structures]

    def _row(self, counts: Ints) -> dict[str, Any]:
        images = self._network.splits.validation[0]
        bare = Scorer(self._network.weights("none"), images, None)
        row: dict[str, Any] = {
            name: bare._evaluate(look(counts), len(images)).value for name, look in self._looks.items()
        }
        row |= dict(zip(TUNED, self._tuned(counts, 0)[0], strict=True))
        return row | {"truth": [self._tuned(counts, seed)[1] for seed in TRUTHS]}

    @cached_property
    def _looks(self) -> dict[str, Any]:
        network, weights = self._network, self._search.scorer.weights
        return {
            CONTROL: network.weights("none").of,
            "by channels": network.weights("channels").of,
            "a trial": weights.of,
            "refined": weights.refined,
        }

    def _tuned(self, counts: Ints, seed: int) -> tuple[list[float], float]:
        """Validation accuracy at each rung, and test accuracy at the end; trained rung by rung as a run does."""
        splits, model, judged = self._network.splits, copy.deepcopy(self._search.scorer.build(counts)), []
        for rung in range(len(RUNGS)):
            part = part_of(rung)
            train(
                model, splits.train, TUNING, seed=seed + rung, part=part, augment=splits.augment, teacher=self._teacher
            )
            judged.append(self._network.judged(model))
        return judged, float(accuracy(model, splits.test) or 0)


def taus(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By rung, tau with the truth and by how much it is above that of batch norms alone; 95% intervals."""
    truth = np.array([row["truth"] for row in rows])
    draws = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "truth"}
    drawn = {name: [tau(column[pick], truth[pick].mean(1)) for pick in draws] for name, column in columns.items()}
    found: dict[str, dict[str, Any]] = {
        name: {
            "tau": tau(column, truth.mean(1)),
            "interval": interval(drawn[name]),
            "above": interval(np.subtract(drawn[name], drawn[CONTROL])),
        }
        for name, column in columns.items()
    }
    found["one seed with the other"] = {"tau": tau(*truth.T)}
    return found


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    rows = Climbs(trained("resnet20", arguments.data)).rows()
    found = taus(rows)
    for name, row in found.items():
        print(f"{name:26}" + "".join(f" {key} {np.round(value, 3)}" for key, value in row.items()))
    machine = {"threads": arguments.threads, "device": "cpu"}
    about = {"network": "resnet20", "rate": RATE, "machine": machine, "versions": versions()}
    write_figures("rungs-tuned", about | {"summary": found, "structures": rows})


if __name__ == "__main__":
    main()
