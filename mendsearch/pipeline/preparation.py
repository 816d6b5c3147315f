"""Stages one and two: the dense network's weights, and the filter ranking with its statistics."""

from __future__ import annotations

import time

from mendsearch.calibration import doubts
from mendsearch.coupling.copying import load_state, state_of
from mendsearch.coupling.grouping import held_line
from mendsearch.files import read_tensors, write_tensors
from mendsearch.mending.measuring import comparison_in
from mendsearch.mending.search import Search, rank_channels
from mendsearch.outputs import LOGITS
from mendsearch.pipeline.measuring import measure_in, tested
from mendsearch.pipeline.reuse import ranking_key, reused, training_key
from mendsearch.pipeline.run import Run
from mendsearch.ranking.codec import from_tensors, to_tensors
from mendsearch.training.functions import loss_of
from mendsearch.training.loop import train


def train_dense(run: Run) -> None:
    """Stage one: give the network its weights, from the run's folder, from the checkpoint, or by training.

    `read_inputs` has loaded the checkpoint already, if the spec names one.
    """
    model, splits, spec = run.inputs.problem.model, run.inputs.splits, run.spec
    path, checkpoint = run.folder.path / "dense.safetensors", run.folder.path / "train.checkpoint"
    if "train" in run.folder:
        load_state(model, read_tensors(path))
        return
    started, key = time.perf_counter(), training_key(run)
    if reused(run, "train", key, path.name, "dense weights"):
        load_state(model, read_tensors(path))
    elif spec.model.checkpoint is None:
        with run.reporter.stage("train", spec.train.epochs) as stage:
            train(
                model,
                splits.train,
                spec.train,
                seed=spec.seed,
                batch=splits.batch,
                augment=splits.augment,
                checkpoint=checkpoint,
                comparison=comparison_in(run.inputs.problem, splits.calibration) or LOGITS,
                loss=loss_of(spec.train),
                on_epoch=lambda loss: stage.advance(f"loss {loss:.4f}"),
            )
    write_tensors(path, state_of(model))
    figures = tested(run, measure_in(run), model)
    run.folder["train"] = {"seconds": time.perf_counter() - started, **figures, "key": key}
    checkpoint.unlink(missing_ok=True)


def rank(run: Run) -> Search:
    """Stage two: one pass over the calibration images, and the ranking made from it; both are kept in the folder.

    Returns:
        the search, with the structures that need no trial: `uniform`, `pre_pruned`, and the floor.
    """
    spec, problem, splits = run.spec, run.inputs.problem, run.inputs.splits
    path, criterion = run.folder.path / "ranking.safetensors", spec.rank.criterion
    if "rank" not in run.folder:
        started, key = time.perf_counter(), ranking_key(run)
        for line in doubts(problem.model, splits.calibration, splits.validation[1], problem.outputs):
            run.reporter.say(f"warning: {line}")
        if kept := held_line(problem.coupling, "`mendsearch inspect`"):
            run.reporter.say(kept)
        if not reused(run, "rank", key, path.name, "ranking and statistics"):
            ranked = rank_channels(problem, splits.calibration, criterion, spec.seed, run.reporter)
            write_tensors(path, to_tensors(*ranked))
        run.folder["rank"] = {"seconds": time.perf_counter() - started, "key": key}
    device = next(problem.model.parameters()).device
    ranking, statistics = from_tensors(read_tensors(path, str(device)), criterion, device)
    return Search(
        problem,
        ranking,
        statistics,
        calibration=splits.calibration,
        validation=splits.validation[0],
        labels=splits.validation[1],
        prune=spec.prune,
        mend=spec.mend,
    )
