"""Time of scoring a candidate as a multiple of its bare forward passes. Weights do not matter.

The bare passes are those of the same candidate, built by `build_pruned` as a plain network, on the same images: batch
norms in training mode over the calibration images, then evaluation mode over the validation images, in the same
batches; once in the precision of a trial, once in single precision. The sides take turns. Milliseconds are wall-clock
and processor time.
"""

from __future__ import annotations

import resource
import statistics
import time
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet50

import mendsearch.mending.scoring as scoring_module
import mendsearch.mending.weights as weights_module
from bench.files import write_figures
from bench.networks import parser, trained
from bench.rows import clocked
from mendsearch.config import Budget
from mendsearch.coupling.surgery import build_pruned
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.mending.weights import Weights
from mendsearch.modes import averaging, evaluating, fast_passes
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import pre_prune
from mendsearch.progress import Reporter

TAKES = "5 minutes, and 10 more with --resnet50"
RATE = 0.4


@torch.no_grad()
def measure(model: nn.Module, calibration: torch.Tensor, validation: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Median milliseconds of scoring one candidate, by kind of reconstruction, and of its bare forward passes."""
    problem = build_problem(model, calibration, Budget(macs=RATE))
    ranking, moments = rank_channels(problem, calibration, "l1", 0, Reporter(quiet=True))
    counts = pre_prune("uniform", ranking, [], problem.limits)
    found: dict[str, Any] = {"images": {"calibration": len(calibration), "validation": len(validation)}}
    for kind in ("channels", "sequence"):
        scorer = Scorer(Weights(model, problem.coupling, ranking, moments, calibration, kind), validation, None)
        plain = build_pruned(model, scorer.weights.of(counts)).eval()
        fitted = calibration[: weights_module.TRIAL_IMAGES] if kind == "sequence" else calibration
        batches = [fitted] if kind == "sequence" else fitted.split(weights_module.BATCH)
        sides = {
            "scoring": partial(scorer.score, counts),
            "bare": partial(bare, plain, batches, scorer, fast=True),
            "bare_single": partial(bare, plain, batches, scorer, fast=False),
        }
        turns = [{side: clocked(work) for side, work in sides.items()} for _ in range(rounds + 1)][1:]
        row = found[kind] = {
            f"{side}{suffix}_ms": 1000 * statistics.median(turn[side][clock] for turn in turns)
            for clock, suffix in enumerate(("", "_cpu"))
            for side in sides
        }
        row["other_ms"] = row["scoring_ms"] - row["bare_ms"]
        for suffix in ("", "_cpu"):
            row["ratio" + suffix] = row[f"scoring{suffix}_ms"] / row[f"bare{suffix}_ms"]
            row["ratio_single" + suffix] = row[f"scoring{suffix}_ms"] / row[f"bare_single{suffix}_ms"]
    return found


def refine(model: nn.Module, calibration: torch.Tensor) -> dict[str, float]:
    """Seconds to refine one candidate, targets of the dense network included, and the peak memory of the process."""
    problem = build_problem(model, calibration, Budget(macs=RATE))
    ranking, moments = rank_channels(problem, calibration, "l1", 0, Reporter(quiet=True))
    weights = Weights(model, problem.coupling, ranking, moments, calibration, "sequence")
    started = time.perf_counter()
    weights.refined(pre_prune("uniform", ranking, [], problem.limits))
    taken = time.perf_counter() - started
    return {"refined_s": taken, "refined_peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def bare(plain: nn.Module, batches: list[torch.Tensor], scorer: Scorer, fast: bool) -> None:
    """Run the forward passes alone, in the precision of a trial or in single precision."""
    with fast_passes(scorer.weights.device) if fast else nullcontext():
        with averaging(plain):
            for images in batches:
                plain(images)
        with evaluating(plain):
            seen = 0
            for inputs in scorer._images:
                inputs.call(plain)
                seen += len(inputs)
                if seen >= scoring_module.TRIAL_IMAGES:
                    break


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--resnet50", action="store_true", help="also a ResNet-50 at 224x224: 10 minutes on a CPU")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    for name in ("resnet20", "mobilenetv2"):
        network = trained(name, arguments.data)
        keep(found, name, measure(network.model, network.calibration, network.splits.validation[0].tensor, 7))
    if arguments.resnet50:
        torch.manual_seed(0)
        big = resnet50().eval()
        calibration, validation = torch.randn(64, 3, 224, 224), torch.randn(128, 3, 224, 224)
        refined = refine(big, calibration)  # first, since later steps may use more memory
        keep(found, "resnet50, 224x224", measure(big, calibration, validation, 1) | refined)


def keep(found: dict[str, Any], name: str, value: dict[str, Any]) -> None:
    """Print the figures of a network, and write all figures so far."""
    found[name] = value
    print(name, value, flush=True)
    machine = {"threads": torch.get_num_threads(), "device": "cpu"}
    write_figures("efficiency", {"machine": machine, "versions": versions(), "networks": found})


if __name__ == "__main__":
    main()
