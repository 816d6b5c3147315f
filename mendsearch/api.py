"""The Python API, for people who have a training script of their own."""

from __future__ import annotations

import warnings
from typing import get_args

from torch import Tensor, nn

from mendsearch.artifacts import Pruned
from mendsearch.batches import Batch
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
from mendsearch.coupling.copying import dtype_of, unwrapped
from mendsearch.errors import BudgetError, DataError, ModelError, UsageError
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.progress import Reporter
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_study
from mendsearch.training.loop import predict
from mendsearch.training.reading import Data, ToInputs, read
from mendsearch.training.splits import check_labels


def mend(
    model: nn.Module,
    *,
    calibration: Data,
    validation: Data,
    budget: Budget,
    n_trials: int = 100,
    batch: ToInputs | None = None,
    calibration_items: int = 1024,
    validation_items: int = 2000,
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
        model: trained network that gives (N, num_classes) logits; not changed. Everything runs on its device.
        calibration: what the network was trained on; labels are ignored. A DataLoader, a Dataset, or one batch: a
            tensor, whose first axis is the items; a dict of keyword arguments; a list with one tensor for each item; a
            `Batch` of any arguments; or a pair of these and labels. docs/inputs.md has the rule.
        validation: held-out items, in the same forms; labels are needed only if `score` is `loss`.
        budget: limits on the pruned network, such as `Budget(macs=0.4)`.
        n_trials: number of trials that end with a score.
        batch: function that turns a batch of a DataLoader or Dataset into the network's inputs, or into (inputs,
            labels), where the rule does not.
        calibration_items: items that are kept of `calibration`: drawn from a Dataset, the first ones of a DataLoader. A
            batch that is given as it is, is used as a whole.
        validation_items: likewise, of `validation`.
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
        CalibrationWarning: the calibration items, or the network's outputs on them, look odd.

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
    seen, _ = _read("calibration", calibration, calibration_items, model, batch, seed)
    held, labels = _read("validation", validation, validation_items, model, batch, seed)
    if repr(seen) != repr(held):
        raise DataError(f"validation: got inputs {held}, expected {seen} as in calibration")
    spec = MendSpec(
        trials=n_trials, sampler=sampler, reconstruction=reconstruction, score=score, early_stopping=early_stopping
    )
    problem = build_problem(model, seen, budget, prune)
    if labels is not None and labels.dim() == 1 and not labels.is_floating_point():
        check_labels(labels, predict(model, held[:2]).shape[1], "validation")
    elif labels is not None and score == "loss":
        raise DataError(f"validation: got labels of shape {tuple(labels.shape)}, expected integers (N,) for that score")
    for line in doubts(model, seen, labels):
        warnings.warn(line, CalibrationWarning, stacklevel=2)
    ranking, statistics = rank_channels(problem, seen, criterion, seed, reporter)
    search = Search(
        problem,
        ranking,
        statistics,
        calibration=seen,
        validation=held,
        labels=labels,
        prune=prune,
        mend=spec,
    )
    registration = None if storage is None else Registration(storage, name)
    study, winner = run_study(search, spec, registration=registration, name=name, seed=seed, reporter=reporter)
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


def _read(
    argument: str, data: Data, most: int, model: nn.Module, batch: ToInputs | None, seed: int
) -> tuple[Batch, Tensor | None]:
    """What an argument of `mend` holds, in the network's dtype."""
    if most < 1:
        raise UsageError(f"{argument}_items: got {most}, expected 1 or more")
    try:
        inputs, labels = read(data, most, to_inputs=batch, seed=seed)
    except DataError as error:
        raise DataError(f"{argument}: {error}") from error
    return inputs.to(dtype=dtype_of(unwrapped(model))), labels
