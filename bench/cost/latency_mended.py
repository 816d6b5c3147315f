"""Time at equal accuracy: networks mended by a budget in time, beside those mended by MACs, and by rules. Resumable.

All structures get our ranking and reconstruction, so that structure alone is compared. The budgets in time are those
that the networks mended by MACs were measured to take. All networks of a runtime are measured in turns, one thread.
The control `uniform` keeps multiples of 8; Torch-Pruning, `round_to=8`, has the L2 norm and one threshold for all
groups; where it has no network as small as a rate asks for, that one is missing.
"""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

import mendsearch
from bench.accuracy.torch_pruning_peer import NoneSoSmall, Way, pruned_by_peer
from bench.cost.latency_model import kept_profile
from bench.files import WORK, kept, read_figures, write_figures
from bench.networks import Trained, parser, trained
from bench.remembered import Remembered
from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, Limits, build_cost_model
from mendsearch.config import Budget, FinetuneSpec, PruneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.latency.calling import profile
from mendsearch.latency.measuring import measure
from mendsearch.latency.runtimes import open_runtime
from mendsearch.pipeline.export import versions
from mendsearch.training.loop import accuracy, train

TAKES = "5 hours on one core"
NETWORKS = {"resnet20": 60, "mobilenetv2": 60, "resnet50": 20}
"""Trials of a search, by network."""
BY_SCORE = ("resnet50",)
"""Networks that are compared by their scores, and not fine-tuned: it would take hours."""
RUNTIMES = ("torch", "onnxruntime")
RATES = (0.7, 0.5, 0.35, 0.25)
"""Fractions of the dense MACs."""
MINUTES = 3
ROUNDS = 15
TUNING = FinetuneSpec(epochs=1, images=20_000, learning_rate=0.02)
"""A third of a pass."""
MENDED = "mended by time"


class Progress:
    """Prints what begins, and after how many seconds."""

    def __init__(self, title: str) -> None:
        self._title, self._start = title, time.monotonic()

    def __call__(self, step: str) -> None:
        """Print a step."""
        print(f"{self._title}: {step} ({time.monotonic() - self._start:.0f} s)", flush=True)


class Structures:
    """The structures of a network by method, each at all rates."""

    def __init__(self, name: str, network: Trained) -> None:
        self._name, self._network = name, network
        self._folder = WORK / "latency-mended"

    def at(self, rate: float) -> dict[str, Ints]:
        """Of the methods that need no device."""
        found = self.kept(f"structures-{rate}", lambda: self._at(rate))
        return {method: np.array(counts, dtype=np.int64) for method, counts in found.items()}

    def _at(self, rate: float) -> dict[str, list[int]]:
        eights = Limits(Budget(macs=rate), build_cost_model(self._network.model, self._network.coupling), 8)
        found = {
            "mended by MACs": self._mended(Budget(macs=rate), 1),
            "uniform, multiples of 8": self._network.search_within(eights).uniform,
        }
        with suppress(NoneSoSmall):
            peer = pruned_by_peer(self._network.model, self._network.calibration, rate, Way(2, True, round_to=8))
            found["Torch-Pruning, round_to=8"] = self._network.counts_of(peer.state_dict())
        return {method: counts.tolist() for method, counts in found.items()}

    def in_time(self, ms: float, found: LatencyProfile) -> Ints:
        """Of the method whose budget is in time, in the setting of a profile."""
        budget = Budget(latency_ms=ms, profile=found)
        title = f"in-time-{found.setting.runtime}-{ms:.4g}"
        return np.array(self.kept(title, lambda: self._mended(budget, "auto").tolist()), dtype=np.int64)

    def _mended(self, budget: Budget, multiple: int | str) -> Ints:
        network = self._network
        pruned = mendsearch.mend(
            network.model,
            calibration=network.calibration,
            validation=network.splits.validation[0],
            budget=budget,
            prune=PruneSpec(multiple=multiple),
            n_trials=NETWORKS[self._name],
            seed=0,
            quiet=True,
        )
        return np.array([pruned.keep_counts[group.name] for group in network.coupling.groups], dtype=np.int64)

    def build(self, counts: Ints) -> nn.Module:
        """The network of a structure, reconstructed from all calibration images."""
        return self._network.search(0.5).scorer.build(counts)

    def tuned(self, counts: Ints, teacher: nn.Module) -> dict[str, float]:
        """Test accuracy before fine-tuning, and after a third of a pass; of some networks the score instead."""

        def work() -> dict[str, float]:
            network = self._network
            if self._name in BY_SCORE:
                return {"score": network.search(0.5).scorer.refined(counts).value}
            model = copy.deepcopy(self.build(counts))
            before = {"before": float(accuracy(model, network.splits.test) or 0)}
            train(model, network.splits.train, TUNING, seed=0, augment=network.splits.augment, teacher=teacher)
            return before | {"after": float(accuracy(model, network.splits.test) or 0)}

        title = "score" if self._name in BY_SCORE else "tuned"
        return self.kept(f"{title}-" + "-".join(map(str, counts)), work)  # type: ignore[no-any-return]

    def kept(self, title: str, work: Any) -> Any:
        """What `work` returns, for this network, from a file where it was done before."""
        return kept(self._folder / f"{self._name}-{title}.json"[:200], work)


def cell(name: str, network: Trained, runtime_name: str) -> dict[str, Any]:
    """All structures of a network, measured in turns in one runtime, with their accuracies."""
    structures, runtime = Structures(name, network), open_runtime(runtime_name)
    teacher = Remembered(network.model)
    begin = Progress(f"{name}, {runtime_name}")
    begin("profile")
    found = _profile(name, network, runtime_name)
    by_method: dict[str, list[Ints]] = {}
    begin("structures by MACs and by rules")
    for rate in RATES:
        for method, counts in structures.at(rate).items():
            by_method.setdefault(method, []).append(counts)
    begin("measure")
    mended = {"mended by MACs": by_method["mended by MACs"]}
    asked = structures.kept(
        f"asked-{runtime_name}", lambda: _fractions(_measured(structures, network, runtime, mended))
    )
    begin("structures by time")
    by_method[MENDED] = [structures.in_time(fraction * found.dense_ms, found) for fraction in asked]
    begin("measure all")
    times = _measured(structures, network, runtime, by_method)
    begin("fine-tune")
    rows = {
        method: [
            {"ms": round(times.ms[method, index], 4), **structures.tuned(counts, teacher)}
            for index, counts in enumerate(chosen)
        ]
        for method, chosen in by_method.items()
    }
    about = {"error": round(found.model.error, 4), "tau": round(found.model.tau, 4), "noise": round(times.error, 4)}
    about |= {"dense_ms of the profile": round(found.dense_ms, 4), "asked": [round(fraction, 4) for fraction in asked]}
    return {"dense_ms": round(times.dense_ms, 4), "model": about, "rows": rows, "ratios": ratios(rows)}


def _profile(name: str, network: Trained, runtime: str) -> LatencyProfile:
    """The latency profile of a network, from a file where it was made before."""
    return kept_profile(
        WORK / "latency-mended" / f"{name}-profile-{runtime}.json",
        lambda: profile(
            network.model, network.calibration[:1], runtime=runtime, minutes=MINUTES, target=0.0, quiet=True
        ),
    )


def _fractions(times: Any) -> list[float]:
    """Times of the networks mended by MACs as fractions of the dense network's, whatever the speed of the machine."""
    return [times.ms["mended by MACs", index] / times.dense_ms for index in range(len(RATES))]


def _measured(structures: Structures, network: Trained, runtime: Any, by_method: dict[str, list[Ints]]) -> Any:
    one = Batch.of(network.calibration[:1])
    passes = {
        (method, index): runtime.prepare(structures.build(counts), one)
        for method, chosen in by_method.items()
        for index, counts in enumerate(chosen)
    }
    return measure(passes, runtime.prepare(network.model, one), runtime, rounds=ROUNDS, error=0.005)


def ratios(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """By figure and method, its time over that of `MENDED` at the same accuracy, between the points of the latter.

    Times are interpolated in their logarithms; a method's points outside the range are left out.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for figure in [name for name in ("before", "after", "score") if name in rows[MENDED][0]]:
        ours = sorted((row[figure], np.log(row["ms"])) for row in rows[MENDED])
        levels, logs = (np.array(column) for column in zip(*ours, strict=True))
        found[figure] = {
            method: [
                round(float(row["ms"] / np.exp(np.interp(row[figure], levels, logs))), 3)
                for row in theirs
                if levels[0] <= row[figure] <= levels[-1]
            ]
            for method, theirs in rows.items()
            if method != MENDED
        }
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--network", choices=NETWORKS, action="append", help="default: all")
    options.add_argument("--runtime", choices=RUNTIMES, action="append", help="default: all")
    given = options.parse_args()
    torch.set_num_threads(1)
    for name in given.network or NETWORKS:
        network = trained(name, given.data)
        for runtime in given.runtime or RUNTIMES:
            found = cell(name, network, runtime)
            cells = (read_figures("latency_mended") or {"cells": {}})["cells"]  # others may be measured meanwhile
            cells[f"{name}, {runtime}"] = found
            write_figures("latency_mended", {"threads": 1, "trials": NETWORKS, "versions": versions(), "cells": cells})
            print(f"{name}, {runtime}: dense {found['dense_ms']} ms, {found['model']}")
            for method, rows in found["rows"].items():
                shown = (" ".join(f"{name} {value:.4f}" for name, value in one.items()) for one in rows)
                print(f"  {method:26} {'  '.join(shown)}")
            print(f"  {found['ratios']}", flush=True)


if __name__ == "__main__":
    main()
