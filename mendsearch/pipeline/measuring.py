"""What a network is worth on the test split: accuracy where there are classes, the user's metric, or else agreement."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.errors import SpecError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.judges import checked
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs import Comparison, outputs_of
from mendsearch.pipeline.run import Run
from mendsearch.training.loop import accuracy
from mendsearch.training.splits import batches

BATCH = 500
"""Items per pass."""
AGREEMENT = "agreement"


def comparison_in(run: Run) -> Comparison | None:
    """How the outputs of the dense network are compared, by its weights now; None if they cannot be."""
    problem = run.inputs.problem
    outputs, divergences = outputs_of(problem.model, run.inputs.splits.calibration, problem.outputs)
    return Comparison(outputs, divergences) if divergences else None


class Measure:
    """Figures of networks on the test split of a run, whose dense network has its weights.

    Attributes:
        metric: what the figure `metric` is: import path of the user's metric, `agreement` with the dense network where
            there is no metric and nothing to be right about, or None where accuracy is all.
    """

    def __init__(self, run: Run) -> None:
        self._dense, self._splits = run.inputs.problem.model, run.inputs.splits
        self._comparison = comparison_in(run)
        score = run.spec.mend.score
        self._function = import_factory(score, SpecError) if is_import_path(score) else None
        self._has_accuracy = self._accuracy(self._dense) is not None
        self.metric = score if self._function is not None else None if self._has_accuracy else AGREEMENT

    def of(self, model: nn.Module) -> dict[str, float | None]:
        """`accuracy` (0-1) and `metric` of a network; each None where there is none."""
        return {
            "accuracy": self._accuracy(model) if self._has_accuracy else None,
            "metric": None if self.metric is None else self._metric(model),
        }

    def _accuracy(self, model: nn.Module) -> float | None:
        if self._comparison is None:
            return None
        splits = self._splits
        return accuracy(model, splits.test, BATCH, batch=splits.batch, comparison=self._comparison)

    @torch.no_grad()
    def _metric(self, model: nn.Module) -> float | None:
        total, count = 0.0, 0
        with evaluating(model), evaluating(self._dense):
            for inputs, targets in batches(self._splits.test, BATCH, batch=self._splits.batch):
                total += self._sum(model, to_network(inputs, model), targets)
                count += len(inputs)
        return total / count

    def _sum(self, model: nn.Module, inputs: Batch, targets: Any) -> float:
        if self._function is not None:
            batch = (inputs.plain, targets.to(inputs.tensors[0].device))
            return float(checked(self._function(model, batch), batch, str(self.metric)).double().sum())
        assert self._comparison is not None  # without a metric of the user's, the search needed it
        found, dense = (self._comparison.prepare(inputs.call(network)) for network in (model, self._dense))
        return -float(self._comparison.mean(self._comparison.divergences(found, dense)).double().sum())
