"""Stages one and two: the dense network's weights, and the filter ranking with its statistics."""

from __future__ import annotations

import time

import torch

from mendsearch.calibration import doubts
from mendsearch.config import Spec
from mendsearch.files import read_tensors, write_tensors
from mendsearch.loading import Loaded
from mendsearch.mending.search import Search, rank_channels
from mendsearch.progress import Reporter
from mendsearch.ranking import FilterRanking
from mendsearch.record import Record
from mendsearch.statistics import InputStatistics
from mendsearch.training.loop import accuracy, train


def train_dense(loaded: Loaded, spec: Spec, record: Record, reporter: Reporter) -> None:
    """Stage one: give the network its weights, from this run, from its checkpoint (loaded already), or by training."""
    model, splits = loaded.problem.model, loaded.splits
    path, checkpoint = record.out / "dense.safetensors", record.out / "train.pt"
    if "train" in record:
        model.load_state_dict(read_tensors(path))
        return
    started = time.perf_counter()
    if spec.model.checkpoint is None:
        with reporter.stage("train", spec.train.epochs) as stage:
            train(
                model,
                splits.train,
                spec.train,
                seed=spec.seed,
                augment=splits.augment,
                checkpoint=checkpoint,
                on_epoch=lambda loss: stage.advance(f"loss {loss:.4f}"),
            )
    write_tensors(path, model.state_dict())
    record["train"] = {"seconds": time.perf_counter() - started, "accuracy": accuracy(model, splits.test)}
    checkpoint.unlink(missing_ok=True)


def rank(loaded: Loaded, spec: Spec, record: Record, reporter: Reporter) -> Search:
    """Stage two: one pass over the calibration images, and the ranking made from it; both are kept.

    Returns:
        the search, with the structures that need no trial: `uniform`, `pre_pruned`, and the floor.
    """
    path = record.out / "ranking.safetensors"
    if "rank" not in record:
        started = time.perf_counter()
        for line in doubts(loaded.problem.model, loaded.splits.calibration, loaded.splits.validation[1]):
            reporter.say(f"warning: {line}")
        ranking, statistics = rank_channels(
            loaded.problem, loaded.splits.calibration, spec.rank.criterion, spec.seed, reporter
        )
        tensors = {f"scores/{i}": torch.from_numpy(scores) for i, scores in enumerate(ranking.scores)}
        for layer, found in statistics.items():
            tensors |= {f"mean/{layer}": found.mean, f"covariance/{layer}": found.covariance}
        write_tensors(path, tensors)
        record["rank"] = {"seconds": time.perf_counter() - started}
    kept = read_tensors(path, str(next(loaded.problem.model.parameters()).device))
    layers = [key.removeprefix("mean/") for key in kept if key.startswith("mean/")]
    scores = tuple(kept[f"scores/{i}"].cpu().numpy() for i in range(len(loaded.problem.coupling.groups)))
    return Search(
        loaded.problem,
        FilterRanking(spec.rank.criterion, scores),
        {layer: InputStatistics(kept[f"mean/{layer}"], kept[f"covariance/{layer}"]) for layer in layers},
        calibration=loaded.splits.calibration,
        validation=loaded.splits.validation[0],
        labels=loaded.splits.validation[1],
        prune=spec.prune,
        mend=spec.mend,
    )
