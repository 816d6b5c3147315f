"""The four stages of a run, each done once: train, pre-prune, mend, fine-tune; then the export.

A run keeps everything under one folder. A stage is done when it stands in `stages.json`, which is written whole after
the stage's own files; so a run that is killed at any moment goes on where it was.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout

import mendstore
from mendsearch.artifacts import Pruned, save
from mendsearch.config import Spec
from mendsearch.errors import UsageError
from mendsearch.files import read_json, write_json
from mendsearch.finetuning import Finetuned, finetune
from mendsearch.fleet.code import own_versions
from mendsearch.fleet.crew import run_crew
from mendsearch.fleet.exchange import portable_spec, publish
from mendsearch.latency import latencies_ms
from mendsearch.loading import Loaded, load
from mendsearch.mending.loop import Winner, ended
from mendsearch.mending.search import Search
from mendsearch.mending.study import Place, enrol, open_database, run_study, winner_of
from mendsearch.preparation import rank, train_dense
from mendsearch.progress import Reporter
from mendsearch.record import Record, check_spec, study_counts, versions
from mendstore.records import FORMAT, RESULTS, Budget, DenseRow, Model, PrunedRow, RunResult, TrialCounts


@dataclass(frozen=True)
class Outcome:
    """What a run ends with.

    Attributes:
        result: as `result.json` holds it.
        dense_score: score of the dense network, for the table.
    """

    result: dict[str, Any]
    dense_score: float


def finished(spec: Spec, out: Path) -> Outcome | None:
    """The outcome of a run of this spec that is done already, or None.

    Raises:
        SpecError: the folder holds a run of another spec.
    """
    check_spec(spec, out)
    result, stages = read_json(out / "result.json"), read_json(out / "stages.json")
    if (
        result is None
        or stages is None
        or result["trials"]["complete"] + result["trials"]["stopped_early"] < spec.mend.trials
    ):
        return None
    return Outcome(result, stages["score"]["dense"])


def run(spec: Spec, out: Path, storage: str, reporter: Reporter, workers: int = 0) -> Outcome:
    """Run the stages that are not done yet.

    Args:
        spec: what to do.
        out: the run's folder; made when it is missing.
        storage: URL of a Postgres database.
        reporter: where progress goes.
        workers: processes that run the trials; 0 for this one alone.

    Raises:
        UsageError: wrong spec, data or budget, before any work is done; or another process is at work in `out`.
        MendsearchError: training diverged.
        mendstore.StorageError: the database cannot be reached, or goes away.
    """
    with _alone(out):
        return finished(spec, out) or _run(spec, out, storage, reporter, workers)


def create(spec: Spec, out: Path, storage: str, store: str | None, reporter: Reporter) -> mendstore.Registered:
    """Stages one and two, then the search stands in the database with all that workers elsewhere need.

    Args:
        spec: what to do.
        out: the run's folder; `run` goes on there when the trials are done.
        storage: URL of a Postgres database.
        store: URL of a folder for what is too large for the database.
        reporter: where progress goes.

    Raises:
        As `run`.
    """
    with _alone(out):
        check_spec(spec, out)
        loaded, search, _ = _prepared(spec, out, storage, reporter)
        database = open_database(storage, spec.fleet, reporter)
        return _published(database, _place(spec, loaded, storage), search, spec.mend.trials, store, reporter)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UsageError(f"another process is at work in {out}; wait for it, or give another --out") from error


def _prepared(spec: Spec, out: Path, storage: str, reporter: Reporter) -> tuple[Loaded, Search, Record]:
    """Stages one and two."""
    record, loaded = Record(out), load(spec)
    mendstore.upgrade(storage)  # a database that cannot be reached is better found before training
    record.start(spec)
    train_dense(loaded, spec, record, reporter)
    return loaded, rank(loaded, spec, record, reporter), record


def _place(spec: Spec, loaded: Loaded, storage: str) -> Place:
    return Place(storage, spec.name, spec.fleet, portable_spec(spec, loaded), own_versions(spec.model.name))


def _published(
    database: mendstore.Database, place: Place, search: Search, trials: int, store: str | None, reporter: Reporter
) -> mendstore.Registered:
    registered = enrol(database, place, search, trials)
    publish(database, registered, search, store, reporter)
    return registered


def _mended(
    spec: Spec, loaded: Loaded, search: Search, out: Path, storage: str, reporter: Reporter, workers: int
) -> tuple[optuna.Study, Winner]:
    """Stage three."""
    place = _place(spec, loaded, storage)
    if not workers:
        return run_study(search, spec.mend, place=place, name=spec.name, seed=spec.seed, reporter=reporter)
    database = open_database(storage, spec.fleet, reporter)
    registered = _published(database, place, search, spec.mend.trials, None, reporter)
    run_crew(database, registered, workers, spec.model.name, out / "workers", reporter)
    study = optuna.load_study(study_name=spec.name, storage=mendstore.MendStorage(database))
    return study, winner_of(study, search, reporter)


def _run(spec: Spec, out: Path, storage: str, reporter: Reporter, workers: int) -> Outcome:
    loaded, search, record = _prepared(spec, out, storage, reporter)
    record["score"] = {"dense": search.scorer.dense_score()}
    study, winner = _mended(spec, loaded, search, out, storage, reporter, workers)
    seconds = sum(trial.duration.total_seconds() for trial in ended(study) if trial.duration is not None)
    record["mend"] = {"seconds": seconds}
    structures = {"uniform": search.uniform, "pre_pruned": search.pre_pruned, "mended": winner.counts}
    tuned = finetune(search, structures, spec, loaded.splits, record, reporter)
    result = _export(spec, loaded, search, study, winner, tuned, record, storage, reporter)
    return Outcome(result, record["score"]["dense"])


def _export(
    spec: Spec,
    loaded: Loaded,
    search: Search,
    study: optuna.Study,
    winner: Winner,
    tuned: dict[str, Finetuned],
    record: Record,
    storage: str,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write `model/` and `result.json`, which dashboards find in the study too."""
    started = time.perf_counter()
    coupling, costs = search.problem.coupling, search.problem.limits.model
    latency = latencies_ms(
        {"dense": search.problem.model, **{name: row.model for name, row in tuned.items()}},
        loaded.splits.calibration[:1],
    )
    cost, keep_counts = costs.cost(winner.counts), coupling.keep_counts(winner.counts)
    pruned = Pruned(tuned["mended"].model, keep_counts, winner.score, cost["macs"], cost["params"], study)
    save(pruned, record.out / "model", name=spec.model.name, kwargs=loaded.kwargs)
    scores = {name: row.score for name, row in tuned.items()} | {"mended": winner.score}
    rows = {
        name: PrunedRow(
            accuracy=row.accuracy,
            accuracy_before=row.accuracy_before,
            **costs.cost(row.counts),
            latency_ms=latency[name],
            keep_counts=coupling.keep_counts(row.counts),
            score=scores[name] if math.isfinite(scores[name]) else None,
        )
        for name, row in tuned.items()
    }
    dense = DenseRow(accuracy=record["train"]["accuracy"], **costs.cost(coupling.widths), latency_ms=latency["dense"])
    record["export"] = {"seconds": time.perf_counter() - started}
    result = RunResult(
        format=FORMAT,
        search=spec.name,
        model=Model(name=spec.model.name, kwargs=loaded.kwargs),
        budget=Budget(given=spec.budget.limits(), absolute=search.problem.limits.absolute),
        test_images=len(loaded.splits.test),  # type: ignore[arg-type]  # map-style, checked by `split`
        dense=dense,
        **rows,
        trials=TrialCounts(**study_counts(study)),
        seconds={stage: round(values["seconds"], 3) for stage, values in record.items() if "seconds" in values},
        seed=spec.seed,
        versions=versions(),
    ).written()
    database = open_database(storage, spec.fleet, reporter)
    mendstore.describe(database, mendstore.find(database, spec.name), {RESULTS: json.dumps(result)})
    database.close()
    write_json(record.out / "result.json", result)  # last: the run is done when it is there
    return result
