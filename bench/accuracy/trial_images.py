"""What a search finds in equal seconds, by the images of its trials: ResNet-20 on Fashion-MNIST. Resumable.

A trial reconstructs from some calibration images and scores on some validation images; what is exported is refined and
judged on all of them. Judged here on the 10,000 test images, before any fine-tuning. The control is the pre-pruned
structure, which every search starts with.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import mendsearch
import mendsearch.mending.scoring as scoring_module
import mendsearch.mending.weights as weights_module
from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from mendsearch.coupling.layout import Ints
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy
from mendsearch.training.splits import gather

TAKES = "15 minutes on one core"
RATES = (0.1,)
SEEDS = (0, 1)
SECONDS = 90.0
"""Of the trials of a search."""
IMAGES = ((256, 1000), (512, 2000), (1024, 2000))
"""Calibration and validation images of a trial."""


class Searches:
    """Searches at one fraction of the dense MACs.

    Args:
        network: the dense network and its data.
        rate: the fraction.
    """

    def __init__(self, network: Trained, rate: float) -> None:
        self._network, self._rate, self._search = network, rate, network.search(rate)
        test, _ = gather(network.splits.test, list(range(len(network.splits.test))))  # type: ignore[arg-type]
        self._test, self._dense = test.tensor, _logits(network.model, test.tensor)

    def control(self) -> dict[str, Any]:
        """The pre-pruned structure."""
        return self._judged(self._search.pre_pruned)

    def found(self, images: tuple[int, int]) -> list[dict[str, Any]]:
        """By seed, what is exported, and the candidate that is best by its trial."""
        title = "-".join(map(str, (self._rate, *images)))
        return [
            kept(WORK / "trial-images" / f"{title}-{seed}.json", partial(self._mended, images, seed)) for seed in SEEDS
        ]

    def _mended(self, images: tuple[int, int], seed: int) -> dict[str, Any]:
        weights_module.TRIAL_IMAGES, scoring_module.TRIAL_IMAGES = images
        network = self._network
        pruned = mendsearch.mend(
            network.model,
            calibration=network.calibration,
            validation=network.splits.validation[0],
            budget=mendsearch.Budget(macs=self._rate),
            n_trials=10_000,
            seconds=SECONDS,
            seed=seed,
            quiet=True,
        )
        counts = network.coupling.counts(pruned.keep_counts)
        best = self._search.space.counts(pruned.study.best_trial.params)
        return self._judged(counts) | {
            "trials": len(pruned.study.trials),
            "a start": any((counts == start).all() for start in self._search.starts),
            "best trial": round(pruned.study.best_value, 4),
            "best trial, refined": round(self._search.scorer.refined_score(best), 4),
        }

    def _judged(self, counts: Ints) -> dict[str, Any]:
        model = self._search.scorer.build(counts)
        logits = _logits(model, self._test)
        divergence = functional.kl_div(logits.log_softmax(1), self._dense.softmax(1), reduction="batchmean")
        return {
            "refined": round(self._search.scorer.refined_score(counts), 4),
            "test score": round(-float(divergence), 4),
            "test accuracy": round(float(accuracy(model, self._network.splits.test) or 0), 4),
        }


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model.eval()(part) for part in images.split(500)])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rate", type=float, action="append", help="fractions of the MACs; all when not given")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    network, rows = trained("resnet20", arguments.data), {}
    machine = {"threads": arguments.threads, "device": "cpu"}
    for rate in arguments.rate or RATES:
        searches = Searches(network, rate)
        row = {"pre-pruned": [searches.control()]} | {"{} / {}".format(*one): searches.found(one) for one in IMAGES}
        for title, found in row.items():
            keys = ("refined", "test score", "test accuracy")
            print(f"{rate:.0%} {title}:", *(f"{key} {np.mean([one[key] for one in found]):.4f}" for key in keys))
        rows[f"{rate:.0%}"] = row
        write_figures("trial-images", {"machine": machine, "versions": versions(), "seconds": SECONDS, "rows": rows})


if __name__ == "__main__":
    main()
