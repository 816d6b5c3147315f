"""From a spec to data, network and budget, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mendsearch.batches import Batch
from mendsearch.config import Spec
from mendsearch.mending.search import Problem, build_problem
from mendsearch.models.checkpoint import load_checkpoint
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.training.loop import predict
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
    torch.manual_seed(spec.seed)
    splits = split(open_source(spec.data, spec.seed), spec.data, spec.seed)
    of_data = {"num_classes": splits.num_classes} | channels_of(splits.calibration)
    kwargs = complete_kwargs(spec.model.name, spec.model.kwargs, **of_data)
    model = build_model(spec.model.name, kwargs)
    if spec.model.checkpoint is not None:
        load_checkpoint(model, spec.model.checkpoint)
    if torch.cuda.is_available():
        model.cuda()
    problem = build_problem(model.eval(), splits.calibration, spec.budget, spec.prune)
    check_labels(splits.validation[1], predict(model, splits.calibration[:2]).shape[1], "validation")
    return Inputs(problem, splits, kwargs)


def channels_of(inputs: Batch) -> dict[str, int]:
    """`in_channels`, if the network takes one tensor (N, C, ...) with positions."""
    return {"in_channels": inputs.tensor.shape[1]} if inputs.is_one_tensor and inputs.tensor.dim() > 2 else {}
