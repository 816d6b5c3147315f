"""Stages one and two: the dense network's weights, and the filter ranking with its statistics."""

from __future__ import annotations

import time

import torch
from safetensors.torch import load_file
from torch import nn

from mendsearch.config import Spec
from mendsearch.files import write_tensors
from mendsearch.mending.search import Problem
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA, FilterRanking, RankingInputs
from mendsearch.record import Record
from mendsearch.statistics import InputStatistics, input_statistics
from mendsearch.training.loop import accuracy, train
from mendsearch.training.splits import Splits

BATCH = 128


def train_dense(model: nn.Module, spec: Spec, splits: Splits, record: Record, reporter: Reporter) -> None:
    """Stage one: give `model` its weights, from this run, from the checkpoint (loaded already), or by training."""
    path = record.out / "dense.safetensors"
    if "train" in record:
        model.load_state_dict(load_file(path))
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
                checkpoint=record.out / "train.pt",
                on_epoch=lambda loss: stage.advance(f"loss {loss:.4f}"),
            )
    write_tensors(path, model.state_dict())
    record["train"] = {"seconds": time.perf_counter() - started, "accuracy": accuracy(model, splits.test)}


def rank(
    problem: Problem, spec: Spec, splits: Splits, record: Record, reporter: Reporter
) -> tuple[FilterRanking, dict[str, InputStatistics]]:
    """Stage two: one pass over the calibration images, and the ranking made from it; both are kept."""
    path = record.out / "ranking.safetensors"
    if "rank" not in record:
        started = time.perf_counter()
        with reporter.stage("rank", -(-len(splits.calibration) // BATCH)) as stage:
            statistics = input_statistics(problem.model, problem.coupling, splits.calibration, BATCH, stage.advance)
        inputs = RankingInputs(problem.model, problem.coupling, statistics, spec.seed)
        ranking = CRITERIA[spec.rank.criterion].rank(inputs)
        tensors = {f"scores/{i}": torch.from_numpy(scores) for i, scores in enumerate(ranking.scores)}
        for layer, found in statistics.items():
            tensors |= {f"mean/{layer}": found.mean, f"second/{layer}": found.second}
        write_tensors(path, tensors)
        record["rank"] = {"seconds": time.perf_counter() - started}
    kept = load_file(path)
    device = next(problem.model.parameters()).device
    layers = [key.removeprefix("mean/") for key in kept if key.startswith("mean/")]
    statistics = {
        layer: InputStatistics(kept[f"mean/{layer}"].to(device), kept[f"second/{layer}"].to(device)) for layer in layers
    }
    scores = tuple(kept[f"scores/{i}"].numpy() for i in range(len(problem.coupling.groups)))
    return FilterRanking(spec.rank.criterion, scores), statistics
