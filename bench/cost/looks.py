"""What looks cost on images of 224x224: a trial and a refined look, in bare passes and seconds. Nothing is trained.

Weights are random, and so are the images: neither matters for time. A bare pass is one forward pass of the same
structure over the images from which the look reconstructs. Processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50

from bench.files import read_figures, write_figures
from bench.passes import bare_seconds
from mendsearch.config import Budget
from mendsearch.coupling.layout import Ints
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.mending.space import Space
from mendsearch.mending.weights import Weights
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import cut
from mendsearch.progress import Reporter

TAKES = "20 minutes"
NETWORKS: dict[str, Callable[[], nn.Module]] = {"MobileNetV2": mobilenet_v2, "ResNet-50": resnet50}
RATE = 0.3
IMAGES = 256
STRUCTURES = 4


def measured(name: str) -> dict[str, Any]:
    """Seconds of what a search does once, and of each look."""
    torch.manual_seed(0)
    model, images = NETWORKS[name]().eval(), torch.randn(IMAGES, 3, 224, 224)
    problem = build_problem(model, images, Budget(macs=RATE))
    started = time.process_time()
    ranking, inputs = rank_channels(problem, images, "gram", 0, Reporter(quiet=True))
    found: dict[str, Any] = {"seconds to rank": round(time.process_time() - started, 1)}
    floor = cut("uniform", ranking, [], problem.limits, scale=0.3)
    structures = random_structures(Space(floor, problem.limits), STRUCTURES, seed=0)
    weights = Weights(model, problem.coupling, ranking, inputs, images, "sequence")
    found["images of a trial"] = weights.trial_items
    bare = {
        count: [bare_seconds(weights, counts, images[:count]) for counts in structures]
        for count in (weights.trial_items, IMAGES)
    }
    for look, of, count in (("trial", weights.of, weights.trial_items), ("refined", weights.refined, IMAGES)):
        seconds = _seconds(of, problem.coupling.widths // 2, structures)
        passes = statistics.median(one / plain for one, plain in zip(seconds, bare[count], strict=True))
        found[look] = {"seconds": round(statistics.median(seconds), 2), "bare passes": round(passes, 2)}
        print(name, look, found[look], flush=True)
    return found


def _seconds(look: Callable[[Ints], dict[str, Tensor]], first: Ints, structures: list[Ints]) -> list[float]:
    """Of each structure; what a search does once is done before, for another one."""
    look(first)
    taken = []
    for counts in structures:
        started = time.process_time()
        look(counts)
        taken.append(time.process_time() - started)
    return taken


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--network", choices=NETWORKS, action="append", help="default: all")
    options.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.network or NETWORKS:
        found = measured(name)
        networks = (read_figures("looks") or {"networks": {}})["networks"] | {name: found}
        write_figures("looks", {"threads": given.threads, "versions": versions(), "networks": networks})


if __name__ == "__main__":
    main()
