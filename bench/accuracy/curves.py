"""Structures of the error curves, in nats and relative to each layer: refined scores, and test accuracy. Resumable.

ResNet-20 on Fashion-MNIST and ResNet-8 on the digits, without training. For each budget and exponent, the structure
with and without the floor; and the uniform one.
"""

from __future__ import annotations

from typing import Any

import torch

from bench.files import WORK, kept, write_figures
from bench.networks import Trained, digits, parser, trained
from mendsearch.budget import project
from mendsearch.coupling.layout import Ints
from mendsearch.mending.search import POWERS, Search
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import by_curves
from mendsearch.training.loop import accuracy

TAKES = "15 minutes"
PLAN = {"resnet20": (0.4, 0.2, 0.1, 0.05), "resnet8": (0.3, 0.1)}
"""Fractions of the MACs by network."""
KINDS = ("nats", "relative")


def structures(search: Search) -> dict[str, Ints]:
    """By name, the structures of a search."""
    limits, space = search.problem.limits, search.space
    found = {"uniform": search.uniform}
    for kind, curves in zip(KINDS, search.curves, strict=True):
        for power in POWERS:
            free = by_curves(curves, limits, power)
            found[f"{kind} {power}"] = space.project(free)
            found[f"{kind} {power}, no floor"] = project(free, limits.steps, limits)
    return found


def measured(network: Trained, search: Search, counts: Ints) -> dict[str, Any]:
    """Score and test accuracy of one structure with refined weights."""
    score = search.scorer.refined_score(counts)
    model = search.scorer.build(counts)
    return {"score": score, "accuracy": accuracy(model, network.splits.test), "keep_counts": counts.tolist()}


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    rows: dict[str, dict[str, Any]] = {}
    for name, rates in PLAN.items():
        network = digits(8) if name == "resnet8" else trained(name, arguments.data)
        for rate in rates:
            search, title = network.search(rate), f"{name}, {rate:.0%}"
            rows[title] = {}
            for kind, counts in structures(search).items():
                file = WORK / "curves" / f"{title}-{kind}.json".replace(",", "").replace(" ", "-")
                rows[title][kind] = kept(file, lambda n=network, s=search, c=counts: measured(n, s, c))
                found = rows[title][kind]
                print(f"{title}: {kind:22} score {found['score']:.4f} test {found['accuracy']:.4f}", flush=True)
    machine = {"threads": arguments.threads, "device": "cpu"}
    write_figures("curves", {"machine": machine, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
