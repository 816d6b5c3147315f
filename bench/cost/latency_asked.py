"""Asked against measured: whether what fits the latency model meets its budget on the device, one thread.

For each budget random structures are projected to it, as every candidate of a search is, and measured in turns with the
dense network. If none meets it, the model is corrected as a run corrects it, and they are projected anew, up to three
times. Weights do not matter for time, so nothing is trained or scored. Resumable.
"""

from __future__ import annotations

import argparse
import statistics
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
from torch import nn

from bench.cost.latency_model import NETWORKS, RUNTIMES, kept_profile, prepared, profiled
from bench.files import WORK, kept, read_figures, write_figures
from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, Limits, build_cost_model, project
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.errors import BudgetError
from mendsearch.latency.candidates import builder, random_structures
from mendsearch.latency.finalists import LEAST_NOISE, ROUNDS, allowance
from mendsearch.latency.machine import Pass
from mendsearch.latency.measuring import measure
from mendsearch.latency.runtimes import Runtime
from mendsearch.pipeline.budgets import CORRECTIONS
from mendsearch.pipeline.export import versions

TAKES = "an hour on one core"
PARTS = tuple(round(float(part), 3) for part in np.linspace(0.2, 0.8, 20))
"""Budgets, as fractions of the dense network's time."""
STRUCTURES = 6
"""Structures of a budget, as many as a run has finalists."""
CLOSE = 0.03


def row(title: str, runtime_name: str, minutes: float) -> dict[str, Any]:
    model, batch, runtime = prepared(title, runtime_name)
    folder, asked = WORK / "latency-asked" / f"{title}, {runtime_name}", _Asked(model, batch, runtime)
    profile = kept_profile(folder / "profile.json", partial(profiled, model, batch, runtime, minutes))
    budgets = [kept(folder / f"{part}.json", partial(asked.budget, part, profile)) for part in PARTS]
    ratios = [one["exported"] for one in budgets if one["exported"] is not None]
    return {
        "network": title,
        "runtime": runtime_name,
        "error": round(profile.model.error, 4),
        "met": sum(ratio <= 1 + CLOSE for ratio in ratios),
        "met_at_once": sum(one["corrections"] == 0 for one in budgets if one["exported"] is not None),
        "cannot_be_met": sum(one["exported"] is None for one in budgets),
        "budgets": budgets,
    }


class _Asked:
    """Structures of a network that fit a budget by the model, measured."""

    def __init__(self, model: nn.Module, batch: Batch, runtime: Runtime) -> None:
        self._model, self._batch, self._runtime = model, batch, runtime
        self._coupling = find_coupling(model, Batch.cat([batch, batch]))
        self._build = builder(model, self._coupling)

    @cached_property
    def _dense(self) -> Pass:
        return self._runtime.prepare(self._model, self._batch)

    def budget(self, part: float, profile: LatencyProfile) -> dict[str, Any]:
        """What is exported at a budget: of the structures that meet it the slowest, or else the fastest.

        Returns:
            `first`: times of all structures before any correction, as fractions of the budget; `exported`: likewise of
            the one that is exported, None where the budget is below the fastest network; `corrections`: their number.
        """
        first: list[float] = []
        for correction in range(CORRECTIONS + 1):
            try:
                taken, error = self._measured(part, profile)
            except BudgetError:
                return {"part": part, "first": first, "exported": None, "corrections": correction}
            first = first or taken
            enough = [ratio for ratio in taken if ratio <= 1 + allowance(error)]
            if enough:
                break
            model = profile.model.model_copy(update={"correction": profile.model.correction * statistics.median(taken)})
            profile = profile.model_copy(update={"model": model})
        exported = max(enough) if enough else min(taken)
        return {"part": part, "first": first, "exported": exported, "corrections": correction, "noise": round(error, 4)}

    def _measured(self, part: float, profile: LatencyProfile) -> tuple[list[float], float]:
        costs = build_cost_model(self._model, self._coupling, {"latency_ms": profile})
        limits = Limits(Budget(latency_ms=f"{100 * part:g}%", profile=profile), costs)
        drawn = islice(random_structures(self._coupling, round(1000 * part)), STRUCTURES)
        counts = [project(one, limits.steps, limits) for one in drawn]
        passes = {index: self._runtime.prepare(self._build(one), self._batch) for index, one in enumerate(counts)}
        times = measure(passes, self._dense, self._runtime, rounds=ROUNDS, error=LEAST_NOISE)
        return [round(times.ms[index] / times.dense_ms / part, 4) for index in passes], times.error


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=3.0, help="of each profile")
    options.add_argument("--network", choices=NETWORKS, action="append", help="default: all")
    options.add_argument("--runtime", choices=RUNTIMES, action="append", help="default: all")
    given = options.parse_args()
    for title in given.network or NETWORKS:
        for runtime in given.runtime or RUNTIMES:
            found = row(title, runtime, given.minutes)
            known: list[dict[str, Any]] = (read_figures("latency_asked") or {"rows": []})["rows"]
            rows = [one for one in known if (one["network"], one["runtime"]) != (title, runtime)] + [found]
            write_figures("latency_asked", {"threads": 1, "versions": versions(), "rows": rows})
            print({key: value for key, value in found.items() if key != "budgets"}, flush=True)


if __name__ == "__main__":
    main()
