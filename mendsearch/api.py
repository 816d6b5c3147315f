"""The Python API, for people who have a training script of their own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import optuna
from torch import Tensor, nn

from mendsearch.arguments import (
    check_call,
    check_choice,
    check_finetune,
    check_flags,
    check_functions,
    check_kinds,
    check_seconds,
    groups_of,
    metric_of,
    said_in_arguments,
)
from mendsearch.artifacts import Pruned
from mendsearch.batches import Batch
from mendsearch.calibration import CalibrationWarning, doubts
from mendsearch.call import Call, mended
from mendsearch.config import (
    Budget,
    CriterionName,
    MendSpec,
    PruneSpec,
    ReconstructionName,
    SamplerName,
)
from mendsearch.coupling.copying import dtype_of, unwrapped
from mendsearch.coupling.grouping import held_line
from mendsearch.errors import DataError
from mendsearch.mending.finetuning import Finetune
from mendsearch.mending.judges import Metric
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.outputs import Wishes
from mendsearch.outputs.choosing import classes_of
from mendsearch.outputs.labels import with_labels
from mendsearch.progress import OnProgress, Reporter
from mendsearch.study.warm_start import warm_starts
from mendsearch.training.reading import Data, ToInputs, read
from mendsearch.training.splits import check_labels


@said_in_arguments()
def mend(
    model: nn.Module,
    *,
    calibration: Data,
    validation: Data,
    budget: Budget,
    n_trials: int = 100,
    seconds: float | None = None,
    batch: ToInputs | None = None,
    calibration_items: int = 1024,
    validation_items: int = 2000,
    calibration_groups: Tensor | Sequence[int] | None = None,
    criterion: CriterionName = "gram",
    prune: PruneSpec | None = None,
    warm_start: optuna.Study | None = None,
    sampler: SamplerName = "mending",
    reconstruction: ReconstructionName = "sequence",
    score: str | Metric = "agreement",
    score_outputs: Wishes | None = None,
    early_stopping: bool = True,
    finetune: Finetune | None = None,
    storage: str | None = None,
    name: str = "mend",
    seed: int = 0,
    quiet: bool = False,
    on_progress: OnProgress | None = None,
) -> Pruned:
    """Rank the channels of a trained network, pre-prune it, and mend it; fine-tuning is the caller's.

    Args:
        model: trained network, with outputs of any form; not changed. Everything runs on its device.
        calibration: what the network was trained on; labels are ignored. A DataLoader, a Dataset, or one batch: a
            tensor, whose first axis is the items; a dict of keyword arguments; a list with one tensor for each item; a
            `Batch` of any arguments; or a pair of these and labels. docs/inputs.md has the rule.
        validation: held-out items, in the same forms; labels are needed only if `score` is `loss`. They may have any
            shape with a first axis of items.
        budget: limits on the pruned network, such as `Budget(macs=0.4)`.
        n_trials: number of trials that end with a score.
        seconds: time after which no further trial is begun, from the first one on; the starting structures are scored
            all the same. None for no limit.
        batch: function that turns a batch of a DataLoader or Dataset into the network's inputs, or into (inputs,
            labels), where the rule does not.
        calibration_items: items that are kept of `calibration`: drawn from a Dataset, the first ones of a DataLoader. A
            batch that is given as it is, is used as a whole.
        validation_items: likewise, of `validation`.
        calibration_groups: (N,) integers, which items of `calibration` belong together, such as crops of one photograph
            or frames of one video; layers are then fitted to some groups and checked on others.
        criterion: criterion of the filter ranking.
        prune: pre-pruning rule, floor, multiple of the keep counts, and layers to exclude.
        warm_start: study of an earlier call for the same network, such as the `study` of a result of another budget;
            its best structures are cut to this budget, and scored first.
        sampler: sampler that proposes restorations.
        reconstruction: how the remaining weights are compensated before a candidate is scored: `sequence` fits layer
            after layer to the dense network's outputs, `channels` folds removed inputs into the kept ones, `none` only
            recalibrates batch norms.
        score: `agreement` with the dense network's outputs, `loss` against the labels of `validation`, or a metric of
            your own, as a function or by its import path `package.module:function`: it is given a network and a batch
            (images, or images and labels if there are labels), and returns one value per image, higher is better. The
            network is the candidate only while it runs.
        score_outputs: by output, the divergence that the agreement is made of: a name, a dict as in `[score.outputs]`
            of a spec, or a function (candidate's values, dense network's values) -> (N,). Outputs that are not named
            are guessed; docs/outputs.md says how.
        early_stopping: whether to stop scoring a candidate once it is clearly worse than the incumbent.
        finetune: your fine-tuning, (model, part, seed) -> model, where `part` is the fraction of the whole fine-tuning
            that is wanted; it may change the model in place. The best few structures and the controls get a quarter of
            it, the better half another quarter, and the better half of those the rest; the one that ends best on
            `validation` is returned. Without it, the structure of the best score is, as it is before any fine-tuning.
        storage: URL of a Postgres database; without it, the study is in memory. A study of that name is resumed.
        name: name of the study.
        seed: seed of ranking, of sampling, and of the control that is drawn at random.
        quiet: whether to write no progress to stderr.
        on_progress: function called with a `Progress` at each step, such as a bar in a notebook; what it raises ends
            the call.

    Returns:
        The best candidate as a plain dense network, its structure, the controls, and the study. Where the budget is in
        time and this machine is that of the latency profile, finalists are measured, the best that meets the budget is
        returned, and the search goes on with the latency model corrected, up to three times, as long as that one is
        clearly worse than the best of all, or none is fast enough: `timings` and `met` say what was measured, of the
        search whose network is the best that is fast enough. A Ctrl-C
        during the trials of a study in memory ends them, and the best candidate so far is returned; with a database it
        raises KeyboardInterrupt, and the same call resumes.

    Warns:
        CalibrationWarning: the calibration items, or the network's outputs on them, look odd.

    Raises:
        UsageError: the data, the network or the budget cannot be used; the message says why.
        FinetuneError: `finetune` failed; the error's `pruned` is the result of the search without it.
        mendstore.StorageError: the database cannot be reached.
    """
    items = {"calibration_items": calibration_items, "validation_items": validation_items}
    check_call(model, budget, prune, name, {"n_trials": n_trials, "seed": seed, **items})
    check_seconds(seconds)
    check_finetune(finetune)
    check_functions(batch=batch, on_progress=on_progress)
    check_flags(early_stopping=early_stopping, quiet=quiet)
    check_kinds(score_outputs, calibration_groups, warm_start)
    check_choice("criterion", criterion, CriterionName)
    check_choice("sampler", sampler, SamplerName)
    check_choice("reconstruction", reconstruction, ReconstructionName)
    score_name, metric = metric_of(score)
    model = unwrapped(model)
    reporter, prune = Reporter(quiet=quiet, on_progress=on_progress), prune or PruneSpec()
    seen, _ = _read("calibration", calibration, calibration_items, model, batch, seed)
    held, labels = _read("validation", validation, validation_items, model, batch, seed)
    if repr(seen) != repr(held):
        raise DataError(f"calibration, validation: got inputs {seen} and {held}, expected the same form")
    spec = MendSpec(
        trials=n_trials,
        seconds=seconds,
        sampler=sampler,
        reconstruction=reconstruction,
        score=score_name,
        early_stopping=early_stopping,
    )
    problem = build_problem(model, seen, budget, prune, score_outputs)
    score_outputs = with_labels(problem.model, held, labels, score_outputs)
    problem = replace(problem, outputs=score_outputs)
    if labels is not None and metric is None and (labels.dim() == 1 or score == "loss"):
        check_labels(labels, classes_of(model, seen, score_outputs), "validation")
    for line in doubts(model, seen, labels, score_outputs):
        warnings.warn(line, CalibrationWarning, stacklevel=3)
    if kept := held_line(problem.coupling, "`Pruned.whole`"):
        reporter.say(kept)
    groups = groups_of(calibration_groups, len(seen))
    ranking, statistics = rank_channels(problem, seen, criterion, seed, reporter, groups)
    call = Call(
        problem=problem,
        budget=budget,
        ranking=ranking,
        statistics=statistics,
        calibration=seen,
        validation=held,
        labels=labels,
        groups=groups,
        prune=prune,
        spec=spec,
        metric=metric,
        finetune=finetune,
        storage=storage,
        name=name,
        seed=seed,
        reporter=reporter,
    )
    return mended(call, [] if warm_start is None else warm_starts(warm_start, problem.coupling))


def _read(
    argument: str, data: Data, most: int, model: nn.Module, batch: ToInputs | None, seed: int
) -> tuple[Batch, Tensor | None]:
    """What an argument of `mend` holds, in the network's dtype."""
    try:
        inputs, labels = read(data, most, to_inputs=batch, seed=seed)
    except DataError as error:
        raise DataError(f"{argument}: {error}") from error
    return inputs.to(dtype=dtype_of(model)), labels
