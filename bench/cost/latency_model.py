"""Predicted against measured time of 50 random candidates that a latency profile has not seen, one thread.

The control is a model in proportion to the MACs, scaled to the same measurements. Weights do not matter, so nothing is
trained. Candidates and control are judged by the same times, in one run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import nn
from torchvision.models import mobilenet_v2, resnet50

from bench.files import read_figures, write_figures
from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, build_cost_model
from mendsearch.budget.features import Features, geometries
from mendsearch.budget.latency import accuracy
from mendsearch.coupling.graph import find_coupling
from mendsearch.files import read_json, write_json
from mendsearch.latency.candidates import builder, random_structures
from mendsearch.latency.measuring import measure
from mendsearch.latency.profiling import profile_network
from mendsearch.latency.runtimes import Runtime, open_runtime
from mendsearch.latency.timers import Here
from mendsearch.models.resnet import cifar_resnet
from mendsearch.pipeline.export import versions
from mendsearch.progress import Reporter

TAKES = "20 minutes"
NETWORKS = {
    "ResNet-20, 32x32": (cifar_resnet, 32),
    "MobileNetV2, 224x224": (mobilenet_v2, 224),
    "ResNet-50, 224x224": (resnet50, 224),
}
RUNTIMES = ("torch", "onnxruntime")
HELD_OUT = 50
AT_ONCE = 10
ROUNDS = 5


def prepared(title: str, runtime_name: str) -> tuple[nn.Module, Batch, Runtime]:
    """A network, one item, and a runtime."""
    factory, size = NETWORKS[title]
    torch.manual_seed(0)
    model, batch = factory().eval(), Batch.of(torch.randn(1, 3, size, size))
    return model, batch, open_runtime(runtime_name)


def profiled(model: nn.Module, batch: Batch, runtime: Runtime, minutes: float) -> LatencyProfile:
    """The latency profile of a network."""
    here = Here(runtime, model, batch)
    return profile_network(model, batch, here, seconds=60 * minutes, target=0.0, reporter=Reporter())


def kept_profile(file: Path, work: Callable[[], LatencyProfile]) -> LatencyProfile:
    """A latency profile, from a file where it was made before."""
    if (known := read_json(file)) is not None:
        return LatencyProfile.model_validate(known)
    found = work()
    write_json(file, found.model_dump(mode="json"))
    return found


def row(title: str, runtime_name: str, minutes: float) -> dict[str, Any]:
    model, batch, runtime = prepared(title, runtime_name)
    profile = profiled(model, batch, runtime, minutes)
    coupling = find_coupling(model, Batch.cat([batch, batch]))
    features = Features(coupling, {name: tuple(one.shape) for name, one in model.named_parameters()}, geometries(model))
    build, dense = builder(model, coupling), runtime.prepare(model, batch)
    seen = {one.counts for one in profile.measured}
    fresh = (counts for counts in random_structures(coupling, 10**6) if tuple(counts) not in seen)
    counts, parts, noises = list(islice(fresh, HELD_OUT)), [], []
    for first in range(0, HELD_OUT, AT_ONCE):
        chunk = counts[first : first + AT_ONCE]
        passes = {index: runtime.prepare(build(one), batch) for index, one in enumerate(chunk)}
        times = measure(passes, dense, runtime, rounds=ROUNDS, seed=first)
        parts += [times.ms[index] / times.dense_ms for index in passes]
        noises.append(times.noise)
    measured, stacked = np.array(parts) * profile.dense_ms, np.array(counts)
    error, tau = accuracy(profile.latency_model(features), stacked, measured)
    costs = build_cost_model(model, coupling)
    known = np.array([one.counts for one in profile.measured])
    per_mac = np.median(np.array([one.ms for one in profile.measured]) / costs.costs(known, ("macs",))["macs"])
    by_macs = per_mac * costs.costs(stacked, ("macs",))["macs"]
    return {
        "network": title,
        "runtime": runtime_name,
        "dense_ms": round(profile.dense_ms, 3),
        "minutes": round(profile.seconds / 60, 2),
        "candidates": len(profile.measured),
        "step": profile.model.step,
        "noise": round(float(np.median(noises)), 4),
        "error": round(error, 4),
        "tau": round(tau, 4),
        "error_of_macs": round(float(np.mean(np.abs(by_macs / measured - 1))), 4),
        "tau_of_macs": round(float(kendalltau(by_macs, measured)[0]), 4),
        "error_said": round(profile.model.error, 4),
        "tau_said": round(profile.model.tau, 4),
        "measured_ms": [round(float(one), 4) for one in measured],
        "predicted_ms": [round(float(one), 4) for one in profile.latency_model(features).ms(stacked)],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=2.0, help="of each profile")
    options.add_argument("--network", choices=NETWORKS, action="append", help="default: all")
    options.add_argument("--runtime", choices=RUNTIMES, action="append", help="default: all")
    given = options.parse_args()
    rows: list[dict[str, Any]] = []
    if given.network or given.runtime:  # the other rows stay
        rows = read_figures("latency_model")["rows"]
    for title in given.network or NETWORKS:
        for runtime in given.runtime or RUNTIMES:
            rows = [one for one in rows if (one["network"], one["runtime"]) != (title, runtime)]
            rows.append(row(title, runtime, given.minutes))
            print({key: value for key, value in rows[-1].items() if not key.endswith("_ms")}, flush=True)
            write_figures("latency_model", {"threads": 1, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
