"""From a spec to data, network and budget, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.config import Spec
from mendsearch.errors import SpecError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.search import Problem, build_problem
from mendsearch.models.checkpoint import load_checkpoint
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.modes import to_network
from mendsearch.outputs import Comparison, outputs_of
from mendsearch.outputs.labels import with_labels
from mendsearch.training.functions import function_of, loss_of
from mendsearch.training.sources import open_source
from mendsearch.training.splits import Splits, check_labels, split


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a spec asks for.

    Attributes:
        problem: network, coupling groups and budget; the weights are those of the checkpoint, or fresh.
        splits: parts of the data.
        kwargs: arguments of the network's factory, completed from the data, so that they alone build the network again.
    """

    problem: Problem
    splits: Splits
    kwargs: dict[str, Any]


def read_inputs(spec: Spec) -> Inputs:
    """Open the data, build the network on a GPU where there is one, and check the budget against it.

    Raises:
        UsageError: data, network, checkpoint or budget cannot be used; the message says why.
    """
    model, splits, kwargs = open_inputs(spec)
    problem = build_problem(model, splits.calibration, spec.budget, spec.prune, spec.score.outputs)
    outputs = with_labels(problem.model, *splits.validation, spec.score.outputs)
    return Inputs(replace(problem, outputs=outputs), splits, kwargs)


def open_inputs(spec: Spec) -> tuple[nn.Module, Splits, dict[str, Any]]:
    """The network in evaluation mode, on a GPU where there is one; the data; and the arguments of its factory.

    Raises:
        UsageError: data, network or checkpoint cannot be used; the message says why.
    """
    torch.manual_seed(spec.seed)
    splits = split(open_source(spec.data, spec.seed), spec.data, spec.seed)
    of_data = {"num_classes": splits.num_classes} | channels_of(splits.calibration)
    kwargs = complete_kwargs(spec.model.name, spec.model.kwargs, **of_data)
    model = build_model(spec.model.name, kwargs)
    if spec.model.checkpoint is not None:
        load_checkpoint(model, spec.model.checkpoint)
    if torch.cuda.is_available():
        model.cuda()
    return model.eval(), splits, kwargs


def channels_of(inputs: Batch) -> dict[str, int]:
    """`in_channels`, if the network takes one tensor (N, C, ...) with positions."""
    return {"in_channels": inputs.tensor.shape[1]} if inputs.is_one_tensor and inputs.tensor.dim() > 2 else {}


@torch.no_grad()
def check_targets(spec: Spec, inputs: Inputs) -> None:
    """See whether score and losses can be computed, before any work is done; `inspect` shows outputs without it.

    Raises:
        UsageError: they cannot; the message says why.
    """
    problem, splits = inputs.problem, inputs.splits
    if is_import_path(spec.mend.score):
        import_factory(spec.mend.score, SpecError)
    trained = spec.model.checkpoint is None and spec.train.epochs and loss_of(spec.train) is None
    built_in = function_of(spec.finetune) is None
    tuned = spec.finetune.epochs and built_in and loss_of(spec.finetune) is None and spec.finetune.distillation < 1
    model, (held, labels) = problem.model, splits.validation
    outputs, divergences = outputs_of(model, splits.calibration, problem.outputs)
    if divergences and not is_import_path(spec.mend.score):
        check_labels(labels, Comparison(outputs, divergences).classes, "validation")
    if trained or tuned or (spec.mend.score != "agreement" and not is_import_path(spec.mend.score)):
        comparison = Comparison(outputs, divergences)
        comparison.loss(comparison.prepare(to_network(held[:2], model).call(model)), labels[:2])
