"""What fewer MACs give in time: `python bench/latency.py`. Weights do not matter; nothing is trained or searched.

Every coupling group keeps the same fraction of its channels (`uniform`), in one row any number of them, in the other
multiples of 8 (`prune.multiple = 8`). The networks take turns. On a GPU, where there is one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from rows import RESULTS
from torch import nn
from torchvision.models import mobilenet_v2, resnet18, resnet50

from mendsearch.budget import Limits
from mendsearch.config import Budget
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import write_json
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.models.resnet import cifar_resnet
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import pre_prune
from mendsearch.progress import Reporter

RATES = (0.6, 0.4, 0.2)
BATCHES = (1, 16)
ROUNDS = 15
STEP = 8
NETWORKS = {
    "ResNet-50, 224x224": (resnet50, 224),
    "ResNet-18, 224x224": (resnet18, 224),
    "MobileNetV2, 224x224": (mobilenet_v2, 224),
    "ResNet-20, 32x32": (cifar_resnet, 32),
}


def structures(model: nn.Module, images: torch.Tensor) -> tuple[dict[str, nn.Module], dict[str, float]]:
    """The dense network and its uniform cuts, with the part of the dense MACs that each has."""
    problem = build_problem(model, images, Budget(macs=max(RATES)))
    coupling, costs = problem.coupling, problem.limits.costs
    ranking, _ = rank_channels(problem, images, "l1", 0, Reporter(quiet=True))
    slicer, dense = Slicer(model, coupling, ranking.orders), costs.cost(coupling.widths)["macs"]
    found, parts = {"dense": model}, {"dense": 1.0}
    for rate in RATES:
        for multiple in (1, STEP):
            kept = pre_prune("uniform", ranking, [], Limits(Budget(macs=rate), costs, multiple))
            name = f"{rate:.0%}" if multiple == 1 else f"{rate:.0%}, multiples of {STEP}"
            found[name] = build_pruned(model, slicer.slice(kept)).eval()
            parts[name] = costs.cost(kept)["macs"] / dense
    return found, parts


@torch.no_grad()
def taken(models: dict[str, nn.Module], images: torch.Tensor) -> dict[str, list[float]]:
    """Milliseconds of a pass, by network, `ROUNDS` times in turns; a first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(ROUNDS + 1):
        for name, model in models.items():
            started = time.perf_counter()
            model(images)
            if images.is_cuda:
                torch.cuda.synchronize()
            if turn:
                found[name].append(1000 * (time.perf_counter() - started))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(options.parse_args().threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[dict[str, Any]] = []
    for title, (factory, size) in NETWORKS.items():
        torch.manual_seed(0)
        models, parts = structures(factory().eval().to(device), torch.randn(2, 3, size, size, device=device))
        for batch in BATCHES:
            times = taken(models, torch.randn(batch, 3, size, size, device=device))
            dense = statistics.median(times["dense"])
            for name, values in times.items():
                low, middle, high = statistics.quantiles(values, n=4)
                row = {
                    "network": title, "batch": batch, "structure": name, "macs": round(parts[name], 4),
                    "ms": round(middle, 3), "quartiles_ms": [round(low, 3), round(high, 3)],
                    "part_of_dense": round(middle / dense, 3),
                }  # fmt: skip
                rows.append(row)
                print(row, flush=True)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    machine = {"threads": torch.get_num_threads(), "device": name}
    write_json(RESULTS / "latency.json", {"machine": machine, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
