"""The four stages of a run, each done once: train, pre-prune, mend, fine-tune; then the export.

A run keeps everything under one folder. A stage is done when its file is there, and files are written whole, so a run
that is killed at any moment goes on where it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

from mendsearch.artifacts import Pruned, save
from mendsearch.config import Spec
from mendsearch.coupling.layout import Ints
from mendsearch.errors import UsageError
from mendsearch.files import read_json, write_json
from mendsearch.finetuning import Finetuned, finetune
from mendsearch.latency import latencies_ms
from mendsearch.mending.loop import Winner, complete
from mendsearch.mending.search import Problem, Search, pose
from mendsearch.mending.study import run_study
from mendsearch.models.checkpoint import load_checkpoint
from mendsearch.models.registry import build_model
from mendsearch.preparation import rank, train_dense
from mendsearch.progress import Reporter
from mendsearch.record import Record, check_spec, study_counts, versions
from mendsearch.training.loop import predict
from mendsearch.training.sources import open_source
from mendsearch.training.splits import Splits, check_labels, split


@dataclass(frozen=True)
class Outcome:
    """What a run ends with.

    Attributes:
        result: as `result.json` holds it.
        dense_score: score of the dense network, for the table.
        widths: of every coupling group in the dense network, in network order.
        floor: channels from which mending started.
    """

    result: dict[str, Any]
    dense_score: float
    widths: dict[str, int]
    floor: dict[str, int]


def finished(spec: Spec, out: Path) -> Outcome | None:
    """The outcome of a run of this spec that is done already, or None.

    Raises:
        SpecError: the folder holds a run of another spec.
    """
    check_spec(spec, out)
    result, stages = read_json(out / "result.json"), read_json(out / "stages.json")
    if result is None or stages is None or result["trials"]["complete"] < spec.mend.trials:
        return None
    return Outcome(result, **{key: stages["structure"][key] for key in ("dense_score", "widths", "floor")})


def run(spec: Spec, out: Path, storage: str, reporter: Reporter) -> Outcome:
    """Run the stages that are not done yet.

    Args:
        spec: what to do.
        out: the run's folder; made when it is missing.
        storage: URL of a Postgres database.
        reporter: where progress goes.

    Raises:
        UsageError: wrong spec, data or budget, before any work is done; or another process is at work in `out`.
        MendsearchError: training diverged.
        mendstore.StorageError: the database cannot be reached, or goes away.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            return finished(spec, out) or _run(spec, out, storage, reporter)
    except Timeout as error:
        raise UsageError(f"another process is at work in {out}; wait for it, or give another --out") from error


def load_problem(spec: Spec) -> tuple[Problem, Splits]:
    """Data, network and budget of a spec, checked before any work is done; the weights are not trained yet."""
    torch.manual_seed(spec.seed)
    splits = split(open_source(spec.data, spec.seed), spec.data, spec.seed)
    model = build_model(
        spec.model.name,
        dict(spec.model.kwargs),
        num_classes=splits.num_classes,
        in_channels=splits.calibration.shape[1],
    )
    if spec.model.checkpoint is not None:
        load_checkpoint(model, spec.model.checkpoint)
    if torch.cuda.is_available():
        model.cuda()
    problem = pose(model.eval(), splits.calibration, spec.budget, spec.prune.exclude)
    check_labels(splits.validation[1], predict(model, splits.calibration[:2]).shape[1], "validation")
    return problem, splits


def _run(spec: Spec, out: Path, storage: str, reporter: Reporter) -> Outcome:
    record = Record(out)
    problem, splits = load_problem(spec)
    record.start(spec)
    train_dense(problem.model, spec, splits, record, reporter)
    ranking, statistics = rank(problem, spec, splits, record, reporter)
    search = Search(
        problem,
        ranking,
        statistics,
        calibration=splits.calibration,
        validation=splits.validation[0],
        targets=splits.validation[1],
        prune=spec.prune,
        mend=spec.mend,
    )
    structure: dict[str, Any] = {
        "dense_score": search.scorer.dense_score(),
        "widths": problem.coupling.keep_counts(problem.coupling.widths),
        "floor": problem.coupling.keep_counts(search.space.floor),
    }
    record["structure"] = structure
    study, winner = run_study(
        search, spec.mend.trials, spec.mend.sampler, storage=storage, name=spec.name, seed=spec.seed, reporter=reporter
    )
    seconds = sum(trial.duration.total_seconds() for trial in complete(study) if trial.duration is not None)
    record["mend"] = {"seconds": seconds, "keep_counts": problem.coupling.keep_counts(winner.counts)}
    structures = {"uniform": search.uniform, "pre_pruned": search.pre_pruned, "mended": winner.counts}
    tuned = finetune(search, structures, spec, splits, record, reporter)
    pruned = Pruned(
        tuned["mended"].model,
        problem.coupling.keep_counts(winner.counts),
        winner.score,
        **problem.limits.model.cost(winner.counts),
        study=study,
    )
    save(pruned, out / "model", name=spec.model.name, kwargs=_full_kwargs(spec, splits))
    result = _result(spec, search, winner, tuned, splits, record) | {"trials": study_counts(study)}
    write_json(out / "result.json", {key: result[key] for key in RESULT_KEYS})
    return Outcome(read_json(out / "result.json"), **structure)


RESULT_KEYS = (
    "search", "model", "budget", "dense", "uniform", "pre_pruned", "mended", "trials", "seconds", "seed", "versions",
)  # fmt: skip


def _full_kwargs(spec: Spec, splits: Splits) -> dict[str, Any]:
    """The factory's arguments with what the data filled in, so that the folder alone builds the network again."""
    kwargs = dict(spec.model.kwargs)
    if spec.model.name in ("digits-resnet", "cifar-resnet"):
        kwargs = {"in_channels": splits.calibration.shape[1], "num_classes": splits.num_classes} | kwargs
    elif spec.model.name.startswith("torchvision:") and "weights" not in kwargs:
        kwargs = {"num_classes": splits.num_classes} | kwargs
    return kwargs


def _result(
    spec: Spec, search: Search, winner: Winner, tuned: dict[str, Finetuned], splits: Splits, record: Record
) -> dict[str, Any]:
    started = time.perf_counter()
    limits, coupling = search.problem.limits, search.problem.coupling
    models: dict[str, nn.Module] = {"dense": search.problem.model} | {name: row.model for name, row in tuned.items()}
    latency = latencies_ms(models, splits.calibration[:1])

    def row(name: str, counts: Ints, acc: float) -> dict[str, Any]:
        return {"accuracy": acc, **limits.model.cost(counts), "latency_ms": latency[name]}

    rows = {"dense": row("dense", coupling.widths, record["train"]["accuracy"])}
    for name, tuned_row in tuned.items():
        score = winner.score if name == "mended" else tuned_row.score
        rows[name] = row(name, tuned_row.counts, tuned_row.accuracy)
        rows[name] |= {"keep_counts": coupling.keep_counts(tuned_row.counts), "score": score}
    record["export"] = {"seconds": time.perf_counter() - started}
    return {
        "search": spec.name,
        "model": {"name": spec.model.name, "kwargs": _full_kwargs(spec, splits)},
        "budget": {"given": spec.budget.limits(), "absolute": limits.absolute},
        **rows,
        "seconds": {stage: round(values["seconds"], 3) for stage, values in record.items() if "seconds" in values},
        "seed": spec.seed,
        "versions": versions(),
    }
