"""The Python API, for people who have a training script of their own."""

from __future__ import annotations

import warnings
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mendsearch.artifacts import Pruned
from mendsearch.calibration import CalibrationWarning, doubts
from mendsearch.config import (
    Budget,
    CriterionName,
    MendSpec,
    PruneSpec,
    ReconstructionName,
    SamplerName,
    ScoreName,
)
from mendsearch.errors import BudgetError, DataError, ModelError, UsageError
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.progress import Reporter
from mendsearch.study.finalists import choose
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_study
from mendsearch.training.loop import predict
from mendsearch.training.splits import check_labels

Images = DataLoader[Any] | Dataset[Any] | Tensor | tuple[Tensor, Tensor]


def mend(
    model: nn.Module,
    *,
    calibration: Images,
    validation: Images,
    budget: Budget,
    n_trials: int = 100,
    criterion: CriterionName = "gram",
    prune: PruneSpec | None = None,
    sampler: SamplerName = "mending",
    reconstruction: ReconstructionName = "sequence",
    score: ScoreName = "agreement",
    early_stopping: bool = True,
    storage: str | None = None,
    name: str = "mend",
    seed: int = 0,
    quiet: bool = False,
) -> Pruned:
    """Rank the channels of a trained network, pre-prune it, and mend it. Fine-tuning is left to the caller.

    Args:
        model: trained network, (N, C, H, W) -> (N, num_classes) logits; not changed. Everything runs on its device.
        calibration: images that the network was trained on; labels are ignored. A DataLoader, a Dataset of images or of
            (image, label), a tensor (N, C, H, W) or a pair of tensors. All images are read; about 1,000 are enough.
        validation: held-out images, in the same forms; labels are needed only if `score` is `loss`.
        budget: limits on the pruned network, such as `Budget(macs=0.4)`.
        n_trials: number of trials that end with a score.
        criterion: criterion of the filter ranking.
        prune: pre-pruning rule, floor, multiple of the keep counts, and layers to exclude.
        sampler: sampler that proposes restorations.
        reconstruction: how the remaining weights are compensated before a candidate is scored: `sequence` fits layer
            after layer to the dense network's outputs, `channels` folds removed inputs into the kept ones, `none` only
            recalibrates batch norms.
        score: `agreement` with the dense network's outputs, or `loss` against the labels of `validation`.
        early_stopping: whether to stop scoring a candidate once it is clearly worse than the incumbent.
        storage: URL of a Postgres database; without it, the study is in memory. A study of that name is resumed.
        name: name of the study.
        seed: seed of ranking and sampling.
        quiet: whether to write no progress to stderr.

    Returns:
        The best candidate as a plain dense network, and the study.

    Warns:
        CalibrationWarning: the calibration images, or the network's outputs on them, look odd.

    Raises:
        UsageError: the data, the network or the budget cannot be used; the message says why.
        mendstore.StorageError: the database cannot be reached.
    """
    _check_call(model, budget, n_trials)
    _check_choice("criterion", criterion, CriterionName)
    _check_choice("sampler", sampler, SamplerName)
    _check_choice("reconstruction", reconstruction, ReconstructionName)
    _check_choice("score", score, ScoreName)
    reporter, prune = Reporter(quiet=quiet), prune or PruneSpec()
    calibration_images, _ = as_tensors(calibration, "calibration")
    validation_images, labels = as_tensors(validation, "validation")
    if calibration_images.shape[1:] != validation_images.shape[1:]:
        raise DataError(
            f"validation images are of shape {tuple(validation_images.shape[1:])}, expected "
            f"{tuple(calibration_images.shape[1:])} as the calibration images"
        )
    spec = MendSpec(
        trials=n_trials, sampler=sampler, reconstruction=reconstruction, score=score, early_stopping=early_stopping
    )
    problem = build_problem(model, calibration_images, budget, prune)
    check_labels(labels, predict(model, validation_images[:2]).shape[1], "validation")
    for line in doubts(model, calibration_images, labels):
        warnings.warn(line, CalibrationWarning, stacklevel=2)
    ranking, statistics = rank_channels(problem, calibration_images, criterion, seed, reporter)
    search = Search(
        problem,
        ranking,
        statistics,
        calibration=calibration_images,
        validation=validation_images,
        labels=labels,
        prune=prune,
        mend=spec,
    )
    registration = None if storage is None else Registration(storage, name)
    study = run_study(search, spec, registration=registration, name=name, seed=seed, reporter=reporter)
    winner = max(choose(study, search, 1, reporter).values(), key=lambda finalist: finalist.score)
    cost = problem.limits.costs.cost(winner.counts)
    return Pruned(
        search.scorer.build(winner.counts),
        problem.coupling.keep_counts(winner.counts),
        winner.score,
        cost["macs"],
        cost["params"],
        study,
    )


def _check_call(model: object, budget: object, n_trials: int) -> None:
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: got {type(model).__name__}, expected a torch.nn.Module")
    if not isinstance(budget, Budget):
        raise BudgetError(f"budget: got {budget!r}, expected mendsearch.Budget(macs=…, params=…)")
    if n_trials < 1:
        raise UsageError(f"n_trials: got {n_trials}, expected 1 or more")


def _check_choice(name: str, given: object, choices: object) -> None:
    allowed = get_args(choices)
    if given not in allowed:
        raise UsageError(f"{name}: got {given!r}, expected one of {', '.join(allowed)}")


def as_tensors(data: Images, what: str) -> tuple[Tensor, Tensor | None]:
    """Images (N, C, H, W) float32, and labels (N,) int64 or None.

    Args:
        data: images, with or without labels, in any of the accepted forms.
        what: name of the argument, for messages.

    Raises:
        DataError: there are no images, or `data` holds something else.
    """
    if isinstance(data, Tensor):
        images, labels = data, None
    elif isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        images, labels = data
    elif isinstance(data, Dataset | DataLoader):
        loader = data if isinstance(data, DataLoader) else DataLoader(data, batch_size=128)
        images, labels = _drain(loader, what)
    else:
        raise DataError(
            f"{what}: got {type(data).__name__}, expected a DataLoader, a Dataset, a tensor or a pair of tensors"
        )
    if images.dim() < 3 or not len(images):
        raise DataError(f"{what}: got images of shape {tuple(images.shape)}, expected (N, C, H, W) with N of 1 or more")
    if labels is not None and tuple(labels.shape) != (len(images),):
        raise DataError(f"{what}: got {len(images)} images and labels of shape {tuple(labels.shape)}, expected (N,)")
    if not torch.isfinite(images).all():
        raise DataError(f"{what}: some pixels are not finite")
    return images.float(), None if labels is None else labels.long()


def _drain(loader: DataLoader[Any], what: str) -> tuple[Tensor, Tensor | None]:
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in loader:
        parts = batch if isinstance(batch, list | tuple) else (batch,)
        if not all(isinstance(part, Tensor) for part in parts[:2]):
            raise DataError(f"{what}: got batches of {type(parts[0]).__name__}, expected images or (images, labels)")
        images.append(parts[0])
        labels.extend(parts[1:2])
    if not images:
        raise DataError(f"{what} holds no images")
    return torch.cat(images), torch.cat(labels) if labels else None
