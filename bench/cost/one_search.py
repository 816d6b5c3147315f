"""One search in a process of its own, by whatever version of mendsearch Python finds: `bench.cost.versions` calls it.

It uses only what the versions that are compared have in common.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

import mendsearch
from bench.networks import small_mobilenet
from mendsearch.config import Budget
from mendsearch.models.resnet import cifar_resnet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet20": lambda: cifar_resnet(depth=20, in_channels=1),
    "mobilenetv2": small_mobilenet,
    "resnet50": resnet50,
}


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    """(N, classes)."""
    return torch.cat([model.eval()(part) for part in images.split(500)])


def judged(pruned: nn.Module, dense: nn.Module, data: dict[str, Tensor]) -> dict[str, float]:
    """Agreement with the dense network and accuracy on images that no search saw."""
    ours, theirs = logits(pruned, data["test"]), logits(dense, data["test"])
    divergence = functional.kl_div(ours.log_softmax(1), theirs.softmax(1), reduction="batchmean")
    right = (ours.argmax(1) == data["labels"]).double().mean()
    return {"test score": round(-float(divergence), 4), "test accuracy": round(float(right), 4)}


def searched(model: nn.Module, data: dict[str, Tensor], rate: float, trials: int, seed: int) -> dict[str, float]:
    """Processor seconds of the whole call, mean wall-clock seconds of a trial, and the network's quality."""
    started = time.process_time()
    pruned = mendsearch.mend(
        model,
        calibration=data["calibration"],
        validation=data["validation"],
        budget=Budget(macs=rate),
        n_trials=trials,
        seed=seed,
        quiet=True,
    )
    seconds = time.process_time() - started
    spans = [trial.duration.total_seconds() for trial in pruned.study.trials if trial.duration is not None]
    times = {"seconds": round(seconds, 2), "trial": round(sum(spans) / len(spans), 3)}
    return times | (judged(pruned.model, model, data) if "test" in data else {})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("network", choices=NETWORKS)
    options.add_argument(
        "file", type=Path, help="its tensors, named model.*, and calibration, validation, test, labels"
    )
    options.add_argument("--rate", type=float, required=True, help="fraction of the dense MACs")
    options.add_argument("--trials", type=int, required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    data = load_file(given.file)
    model = NETWORKS[given.network]()
    state = {name.removeprefix("model."): data.pop(name) for name in list(data) if name.startswith("model.")}
    model.load_state_dict(state)
    print(json.dumps(searched(model.eval(), data, given.rate, given.trials, given.seed)))


if __name__ == "__main__":
    main()
