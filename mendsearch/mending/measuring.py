"""What a network is worth on some items.

That is its accuracy where there are classes, the user's metric where there is one, minus its loss where that is the
score, or else its agreement with the dense network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.errors import SpecError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.judges import Metric, checked
from mendsearch.mending.ladder import Standing
from mendsearch.mending.search import Problem
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs import Comparison, outputs_of

BATCH = 500
"""Items per pass."""
AGREEMENT = "agreement"
LOSS = "loss"
WORST = -1e30
"""The figure of a network whose outputs are not finite."""


class Measure:
    """Figures of networks.

    Args:
        dense: the dense network, with its weights.
        comparison: how its outputs are compared; None if they cannot be.
        function: the user's metric, or None.
        name: name of the score; of a metric, its import path.
        validation: inputs of the validation items, and their labels, or None.

    Attributes:
        comparison: as given.
        metric: what the figure `metric` is: import path of the user's metric, or None where accuracy is all. Where
            there is no metric and nothing to be right about, `loss`, minus that of the labels, if that is the score,
            else `agreement` with the dense network.
    """

    def __init__(
        self,
        dense: nn.Module,
        comparison: Comparison | None,
        function: Metric | None,
        name: str,
        validation: tuple[Batch, Tensor | None],
    ) -> None:
        self._dense, self.comparison, self._function, self._validation = dense, comparison, function, validation
        self._has_accuracy = self._decides()
        instead = LOSS if name == LOSS and validation[1] is not None else AGREEMENT
        self.metric = name if function is not None else None if self._has_accuracy else instead

    def of(self, model: nn.Module, given: Iterable[tuple[Batch, Any]]) -> dict[str, float | None]:
        """Figures of a network on batches of inputs and labels.

        Returns:
            `accuracy` (0-1), `accuracy_error`, its standard error over the items, and `metric`, each None where there
            is none.
        """
        items = self._of_items(model, given)
        found = {name: float(values.mean()) for name, values in items.items()}
        if "accuracy" in items:
            found["accuracy_error"] = float(items["accuracy"].std(correction=0)) / math.sqrt(len(items["accuracy"]))
        return {name: found.get(name) for name in ("accuracy", "accuracy_error", "metric")}

    def standing(self, model: nn.Module) -> Standing:
        """How good a network is on the validation split, by its metric, or else by its accuracy, then by its loss."""
        return self.judged(model)[0]

    def judged(self, model: nn.Module) -> tuple[Standing, Tensor]:
        """`standing`, and what it is the mean of: (N,) float64 on the CPU, metric or accuracy of each item."""
        inputs, labels = self._validation
        parts = inputs.split(BATCH)
        known = [None] * len(parts) if labels is None else labels.split(BATCH)
        found = self._of_items(model, zip(parts, known, strict=True))
        items = found["accuracy" if self.metric is None else "metric"]
        tie = 0.0 if self.metric is not None else -float(found["loss"].mean())
        return Standing(_finite(float(items.mean())), _finite(tie)), items

    @torch.no_grad()
    def _of_items(self, model: nn.Module, given: Iterable[tuple[Batch, Any]]) -> dict[str, Tensor]:
        """By figure, (N,) float64 on the CPU, values of the items."""
        found: dict[str, list[Tensor]] = {}
        with evaluating(model), evaluating(self._dense):
            for inputs, targets in given:
                for name, values in self._values(model, to_network(inputs, model), targets).items():
                    found.setdefault(name, []).append(values.double().cpu())
        return {name: torch.cat(parts) for name, parts in found.items()}

    def _values(self, model: nn.Module, inputs: Batch, targets: Any) -> dict[str, Tensor]:
        """By figure, (n,) values of the items of a batch."""
        values = {}
        if self._has_accuracy:
            assert self.comparison is not None  # there is no accuracy without it
            found = self.comparison.prepare(inputs.call(model))
            right = self.comparison.right(found, targets)
            assert right is not None
            loss = self.comparison.loss(found, targets)
            # the largest of outputs that are not numbers may be the right one by chance
            values = {"accuracy": torch.where(loss.isnan(), 0.0, right), "loss": loss}
        if self._function is not None:
            plain = inputs.plain
            batch = plain if targets is None else (plain, targets.to(inputs.tensors[0].device))
            values["metric"] = checked(self._function(model, batch), batch, str(self.metric))
        elif self.metric == LOSS:
            assert self.comparison is not None  # the score needed it
            values["metric"] = -self.comparison.loss(self.comparison.prepare(inputs.call(model)), targets)
        elif self.metric == AGREEMENT:
            assert self.comparison is not None  # without a metric of the user's, the search needed it
            prepared, dense = (self.comparison.prepare(inputs.call(network)) for network in (model, self._dense))
            values["metric"] = -self.comparison.mean(self.comparison.divergences(prepared, dense))
        return values

    @torch.no_grad()
    def _decides(self) -> bool:
        """Whether there is an accuracy."""
        inputs, labels = self._validation
        if self.comparison is None or labels is None:
            return False
        with evaluating(self._dense):
            outputs = to_network(inputs[:2], self._dense).call(self._dense)
            return self.comparison.right(self.comparison.prepare(outputs), labels[:2]) is not None


def comparison_in(problem: Problem, calibration: Batch) -> Comparison | None:
    """How the outputs of the dense network are compared, by its weights now; None if they cannot be."""
    outputs, divergences = outputs_of(problem.model, calibration, problem.outputs)
    return Comparison(outputs, divergences) if divergences else None


def measure_in(problem: Problem, calibration: Batch, validation: tuple[Batch, Tensor | None], score: str) -> Measure:
    """What measures candidates of a problem, whose dense network has its weights.

    Args:
        problem: network and what is said of its outputs.
        calibration: inputs of the calibration items.
        validation: inputs of the validation items, and their labels, or None.
        score: name of the score; the import path of a metric is imported.

    Raises:
        SpecError: the metric cannot be imported.
    """
    function = import_factory(score, SpecError) if is_import_path(score) else None
    return Measure(problem.model, comparison_in(problem, calibration), function, score, validation)


def _finite(value: float) -> float:
    """The value, or the worst one, so that a network that was ruined is behind all others."""
    return value if math.isfinite(value) else WORST
