"""Test accuracy of uniform structures by kind of reconstruction, without training, and seconds per candidate.

Compared are reconstruction by channels, in sequence layer by layer, and in sequence with residual blocks as wholes,
from few and many images; for MobileNetV2 also with the small ridge where rows are few.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch

import mendsearch.reconstruction.regression as regression_module
from bench.files import write_figures
from bench.networks import Trained, parser, trained
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.holdout import arrange
from mendsearch.mending.weights import REFINED_ROWS, TRIAL_IMAGES, TRIAL_ROWS
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import pre_prune
from mendsearch.training.loop import accuracy
from mendsearch.training.splits import gather

TAKES = "5 minutes"


def measured(network: Trained, state: dict[str, torch.Tensor], seconds: float) -> dict[str, float]:
    """Test accuracy and seconds of one candidate."""
    model = build_pruned(network.model, state).eval()
    return {"accuracy": accuracy(model, network.splits.test), "seconds": seconds}


def compare(network: Trained, counts: Ints, many: torch.Tensor) -> dict[str, Any]:
    """Accuracy and seconds by kind of reconstruction; the seconds exclude the targets, which are computed once."""
    found: dict[str, Any] = {}
    for kind in ("none", "channels"):
        weights = network.weights(kind)  # type: ignore[arg-type]
        started = time.perf_counter()
        found[kind] = measured(network, weights.of(counts), time.perf_counter() - started)
    weights = network.weights()
    for name, images, rows, wholes in (
        (f"{TRIAL_IMAGES} images, {TRIAL_ROWS} rows a feature", network.calibration[:TRIAL_IMAGES], TRIAL_ROWS, True),
        ("each layer for itself", network.calibration, REFINED_ROWS, False),
        ("blocks as wholes", network.calibration, REFINED_ROWS, True),
        (f"{len(many)} images", many, REFINED_ROWS, True),
    ):
        order, fitted = arrange(torch.arange(len(images)), len(images))
        references = weights._references(weights.placed(images[order]), fitted, 1, rows)
        if not wholes:
            dense = references[0].dense
            alone = {layer: replace(target, other=None, gain=None) for layer, target in dense.targets.items()}
            references = [replace(references[0], dense=replace(dense, targets=alone))]
        with torch.no_grad():
            started = time.perf_counter()
            state = weights._in_sequence(counts, references)
        found[f"sequence, {name}"] = measured(network, state, time.perf_counter() - started)
    return found


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    for name, rates in (("resnet20", (0.2, 0.1)), ("mobilenetv2", (0.4,))):
        network = trained(name, arguments.data)
        many, _ = gather(network.splits.train, list(range(4096)))
        for rate in rates:
            counts = pre_prune("uniform", network.ranking, [], network.limits(rate))
            rows = found[f"{name} {rate:.0%}"] = compare(network, counts, many.tensor)
            if name == "mobilenetv2":
                ridges, regression_module.RIDGES = regression_module.RIDGES, regression_module.RIDGES[:1]
                rows["sequence, blocks as wholes, small ridge"] = compare(network, counts, many.tensor)[
                    "sequence, blocks as wholes"
                ]
                regression_module.RIDGES = ridges
            for kind, row in rows.items():
                print(f"{name} {rate:.0%} {kind:40} {row['accuracy']:.4f} {row['seconds']:.2f} s", flush=True)
    write_figures("reconstruction", {"versions": versions(), "threads": arguments.threads, "uniform": found})


if __name__ == "__main__":
    main()
