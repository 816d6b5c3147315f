"""The last step of a run: the network in `model/`, and `result.json`, which the study holds too."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import optuna
from optuna.trial import TrialState

import mendstore
from mendsearch.artifacts.folder import OF_A_RUN, write_folder
from mendsearch.artifacts.result import structure_of
from mendsearch.files import write_json
from mendsearch.latency.finalists import meets
from mendsearch.mending.search import Search
from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.run import Run
from mendsearch.pipeline.timing import latencies_ms
from mendsearch.study.worker import open_database
from mendstore.records import FORMAT, RESULTS, Budget, DenseRow, Model, PrunedRow, RunResult, Timing, TrialCounts


def export(
    run: Run,
    search: Search,
    study: optuna.Study,
    tuned: Mapping[str, Finetuned],
    chosen: str,
    best: str,
    metric: str | None,
    timings: Mapping[str, Timing],
) -> dict[str, Any]:
    """Write `model/` and `result.json`; dashboards find the result in the study.

    Args:
        run: the run.
        search: the search.
        study: the study, with all its trials.
        tuned: finalists after fine-tuning, by name.
        chosen: name of the one to export.
        best: name of the one that is best, whatever time it takes.
        metric: what the figure `metric` is (see `Measure`).
        timings: times on the devices that the budget is for, by the names of its limits in time.

    Returns:
        the result, as `result.json` holds it.
    """
    started, spec, inputs = time.perf_counter(), run.spec, run.inputs
    coupling, costs = search.problem.coupling, search.problem.limits.costs
    latency = latencies_ms(
        {"dense": search.problem.model, **{name: row.model for name, row in tuned.items()}},
        inputs.splits.calibration[:1],
    )
    winner = tuned[chosen]
    write_folder(
        run.folder.path / OF_A_RUN,
        winner.model,
        structure_of(search, winner.counts, winner.model),
        name=spec.model.name,
        kwargs=inputs.kwargs,
        figures={"score": winner.score, **costs.cost(winner.counts)},
    )
    rows = {
        name: PrunedRow(
            accuracy=row.accuracy,
            accuracy_error=row.accuracy_error,
            accuracy_before=row.accuracy_before,
            metric=row.metric,
            metric_before=row.metric_before,
            **costs.cost(row.counts),
            latency_ms=latency[name],
            keep_counts=coupling.keep_counts(row.counts),
            score=row.score if math.isfinite(row.score) else None,
            part=row.part,
            validation=list(row.validation),
            lead=row.lead,
        )
        for name, row in tuned.items()
    }
    trained = {name: run.folder["train"].get(name) for name in ("accuracy", "accuracy_error", "metric")}
    dense = DenseRow(**trained, **costs.cost(coupling.widths), latency_ms=latency["dense"])
    asked = {"trials": spec.mend.trials, "seconds": spec.mend.seconds}
    run.folder["export"] = {"seconds": time.perf_counter() - started, "asked": asked}
    result = RunResult(
        format=FORMAT,
        search=spec.name,
        model=Model(name=spec.model.name, kwargs=inputs.kwargs),
        budget=Budget(given=spec.budget.limits(), absolute=search.problem.limits.absolute),
        metric=metric,
        test_images=len(inputs.splits.test),  # type: ignore[arg-type]  # map-style, checked by `split`
        validation_images=len(inputs.splits.validation[0]),
        dense=dense,
        finalists=rows,
        exported=chosen,
        best=best,
        timings={limit: timing.model_copy(update={"met": meets(timing, chosen)}) for limit, timing in timings.items()},
        trials=TrialCounts(**study_counts(study)),
        seconds={stage: round(values["seconds"], 3) for stage, values in run.folder.items() if "seconds" in values},
        seed=spec.seed,
        versions=versions(),
    ).written()
    database = open_database(run.storage, spec.fleet, run.reporter)
    mendstore.describe(database, mendstore.find(database, spec.name), {RESULTS: json.dumps(result)})
    database.close()
    write_json(run.folder.path / "result.json", result)  # last: the run is done when it is there
    return result


def study_counts(study: optuna.Study) -> dict[str, int]:
    """Number of trials by how they ended: `complete`, `stopped_early`, `failed`."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    names = {"complete": TrialState.COMPLETE, "stopped_early": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: states.count(state) for name, state in names.items()}


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on."""
    return {name: version(name) for name in ("mendsearch", "torch", "torchvision", "optuna")}
