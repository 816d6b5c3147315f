"""Kendall's tau between a score and the accuracy after fine-tuning, for every way of scoring.

Run `bench.accuracy.fidelity_structures` first: it fine-tunes the structures that are scored here. Every way of scoring
sees the same structures with the same kept channels, except `bn l1`, which ranks by l1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import mendsearch.mending.weights as weights_module
from bench.accuracy.fidelity_structures import NETWORKS, PLAN, path, structures
from bench.files import write_figures
from bench.networks import Trained, parser, trained
from bench.taus import interval, tau
from mendsearch.coupling.layout import Ints
from mendsearch.files import read_json, read_tensors, write_tensors
from mendsearch.mending.weights import Weights
from mendsearch.modes import evaluating
from mendsearch.pipeline.export import versions

TAKES = "half an hour, after fidelity_structures"
SEQUENCE = (128, 256, 512, 1024)
"""Calibration images of reconstruction in sequence."""
VALIDATION = (125, 250, 500, 1000, 2000)
RESAMPLES = 1000
Way = Callable[[Ints], dict[str, Tensor]]


def ways(network: Trained, by_l1: Trained) -> Iterator[tuple[str, Way]]:
    """Yield each way of scoring: its name, and a function from keep counts to a state dict."""
    bare = network.weights("none")
    yield "raw", bare.slicer.slice
    yield "bn", bare.of
    yield "bn l1", by_l1.weights("none").of
    yield "channels", network.weights("channels").of
    for images in SEQUENCE:
        yield f"sequence {images}", sequence(network, images)


def sequence(network: Trained, images: int) -> Way:
    """Reconstruction in sequence from the first `images` calibration images."""
    weights = network.weights("sequence")
    weights_module.TRIAL_IMAGES = images
    weights.of(network.coupling.widths // 2)  # takes the targets
    return weights.of


@torch.no_grad()
def logits(weights: Weights, state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Logits (N, 10) of a candidate."""
    with weights.slicer.sized(state), evaluating(weights.model):
        return torch.cat([weights.slicer.forward(state, part) for part in images.split(500)])


def measures(found: Tensor, dense: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Measures per image, each (N,), higher is better: loss, accuracy, agreement and top-1 agreement."""
    return {
        "loss": -functional.cross_entropy(found, labels, reduction="none"),
        "accuracy": (found.argmax(1) == labels).float(),
        "agreement": -functional.kl_div(found.log_softmax(1), dense.softmax(1), reduction="none").sum(1),
        "top-1 agreement": (found.argmax(1) == dense.argmax(1)).float(),
    }


def scored(network: Trained, by_l1: Trained, name: str) -> dict[str, list[dict[str, Any]]]:
    """For each set of structures: accuracies, and the value of every way and measure by number of validation images."""
    inputs, labels = network.splits.validation
    images = inputs.tensor
    bare = network.weights("none")
    dense = logits(bare, dict(bare.slicer.dense), images)
    methods = dict(ways(network, by_l1))
    sets: dict[str, list[dict[str, Any]]] = {}
    for (of, rate), count in PLAN.items():
        for index, counts in enumerate(structures(network, rate, count) if of == name else []):
            truth = read_json(path(name, rate, index))
            if truth is None or truth["keep_counts"] != network.coupling.keep_counts(counts):
                continue
            file = path(name, rate, index).with_suffix(".safetensors")
            kept = read_tensors(file) if file.is_file() else {}
            for way in methods:
                if way not in kept:
                    kept[way] = logits(bare, methods[way](counts), images)
            write_tensors(file, kept)
            values = {
                way: {
                    measure: [float(each[:n].mean()) for n in VALIDATION]
                    for measure, each in measures(found, dense, labels).items()
                }
                for way, found in ((way, kept[way]) for way in methods)
            }
            sets.setdefault(f"{name} {rate:.0%}", []).append({"accuracies": truth["accuracies"], "values": values})
    return sets


def taus(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Kendall's tau of each way and measure on all validation images, its bootstrap interval, and the noise ceiling."""
    accuracies = np.array([row["accuracies"] for row in rows])
    mean = accuracies.mean(1)
    generator = np.random.default_rng(0)
    samples = generator.integers(0, len(rows), (RESAMPLES, len(rows)))
    found: dict[str, Any] = {
        "structures": len(rows),
        "accuracy": {"mean": float(mean.mean()), "sd": float(mean.std(ddof=1))},
        "ceiling": _with_interval(accuracies[:, 0], accuracies[:, 1], samples),
    }
    base = np.array([row["values"]["bn"]["loss"][-1] for row in rows])
    for way in rows[0]["values"]:
        for measure in rows[0]["values"][way]:
            value = np.array([row["values"][way][measure] for row in rows])
            entry = _with_interval(value[:, -1], mean, samples)
            entry["by_images"] = [tau(value[:, i], mean) for i in range(len(VALIDATION))]
            # against one seed, as the ceiling is: how well the score predicts a single fine-tuning
            entry["one_seed"] = float(np.mean([tau(value[:, -1], accuracies[:, s]) for s in range(2)]))
            gains = [tau(value[pick, -1], mean[pick]) - tau(base[pick], mean[pick]) for pick in samples]
            entry["above_bn"] = interval(gains)
            found[f"{way} / {measure}"] = entry
    return found


def thinned(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The structures of a set, as columns: accuracies of both fine-tunings, and each score on all validation images."""
    ways = rows[0]["values"]
    return {
        "accuracies": [[row["accuracies"][seed] for row in rows] for seed in range(2)],
        "scores": {
            f"{way} / {measure}": [round(row["values"][way][measure][-1], 6) for row in rows]
            for way in ways
            for measure in ways[way]
        },
    }


def _with_interval(left: np.ndarray, right: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    return {"tau": tau(left, right), "interval": interval([tau(left[pick], right[pick]) for pick in samples])}


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    summary: dict[str, Any] = {}
    sets: dict[str, Any] = {}
    for name in NETWORKS:
        sets |= scored(trained(name, arguments.data), trained(name, arguments.data, "l1"), name)
    for title, rows in sets.items():
        summary[title] = taus(rows)
        print(f"\n{title}: {len(rows)} structures, ceiling {summary[title]['ceiling']}")
        for key, entry in summary[title].items():
            if "/" in key:
                print(f"  {key:28} {entry['tau']:.3f}  one seed {entry['one_seed']:.3f}  above bn {entry['above_bn']}")
    result = {"versions": versions(), "validation_images": VALIDATION, "summary": summary}
    write_figures("fidelity", result | {"structures": {title: thinned(rows) for title, rows in sets.items()}})


if __name__ == "__main__":
    main()
