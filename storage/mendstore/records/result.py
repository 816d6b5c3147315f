"""The result of a run: `result.json` in the run's folder, and the study attribute `results`."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from mendstore.records.base import Cost, Counts, Number, Record
from mendstore.records.timing import Timing, all_met

RESULTS = "results"
"""Name of the study attribute."""
FORMAT = 2
"""Version of the format; it grows when a reader of the one before would misread a result."""
CONTROLS = ("pre_pruned", "uniform")
"""Controls that every result has."""
RANDOM = "random"
"""The control that is drawn at random; a search whose finalists an older release chose has none."""
MENDED = "mended"
SIGNIFICANT = 1.96
"""Standard errors of half a 95% interval."""


def title(name: str) -> str:
    """The name of a row for people: `pre-pruned` for `pre_pruned`, `mended 2` for `mended_2`."""
    return name.replace("pre_pruned", "pre-pruned").replace("_", " ")


class Model(Record):
    """The network that was pruned."""

    name: str = Field(description="Registered name, or `package.module:factory`.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of the factory.")


class Budget(Record):
    """Limits on the pruned network."""

    given: dict[str, Number] = Field(description="As in the spec: up to 1 a fraction of the dense network.")
    absolute: dict[str, Number] = Field(description="In absolute numbers.")


class DenseRow(Record):
    """Figures of the dense network."""

    accuracy: Number | None = Field(
        None, description="Top-1 accuracy on the test split, 0 to 1, of images or of pixels; null without classes."
    )
    accuracy_error: Number | None = Field(
        None, description="Standard error of `accuracy` over the items of the test split. Null in older results."
    )
    metric: Number | None = Field(None, description="What `metric` of the result names, on the test split.")
    macs: Cost = Field(description="Multiply-accumulates of one image.")
    params: Cost = Field(description="Parameters.")
    latency_ms: Number = Field(
        description="Milliseconds for one image in PyTorch, on the machine of the run; `timings` has those in the "
        "runtime of a budget."
    )


class Lead(Record):
    """By how much the exported network is ahead of another finalist, item by item: after equal fine-tuning, or each as
    it is kept where one of them was better before."""

    value: Number = Field(description="Mean difference of `accuracy`, or `metric`, over the validation items.")
    error: Number = Field(ge=0, description="Standard error of that mean: of the differences on the same items.")
    part: Number = Field(ge=0, le=1, description="Fraction of the fine-tuning that both had: the most that both had.")


class PrunedRow(DenseRow):
    """Figures of a pruned network after fine-tuning, or before it if it was better then on validation."""

    accuracy_before: Number | None = Field(None, description="`accuracy` before fine-tuning.")
    metric_before: Number | None = Field(None, description="`metric` before fine-tuning.")
    keep_counts: Counts = Field(description="Channels that stay, by coupling group.")
    score: Number | None = Field(None, description="Score on the validation split before fine-tuning, if finite.")
    part: Number = Field(
        1.0,
        ge=0,
        le=1,
        description="Fraction of the whole fine-tuning that it had; 0 where it is kept as it was before.",
    )
    validation: list[Number] = Field(
        default_factory=list,
        description="`accuracy`, or `metric` where there is one, on the validation split: before fine-tuning, and at "
        "each rung that it reached.",
    )
    lead: Lead | None = Field(
        None, description="Lead of the exported network over this one. Null for itself, and in older results."
    )

    @property
    def on_validation(self) -> float:
        """How it stands on the validation split, as it is kept; minus infinity where that is not known."""
        if not self.validation:
            return -math.inf
        return self.validation[-1 if self.part else 0]


class TrialCounts(Record):
    """Trials by how they ended."""

    complete: int = Field(0, ge=0)
    stopped_early: int = Field(0, ge=0)
    failed: int = Field(0, ge=0)


class RunResult(Record):
    """The networks of a finished run, and what they were made from."""

    format: Literal[2] = Field(2, description="Version of this format.")
    search: str = Field(description="Name of the search, which is that of its Optuna study.")
    model: Model
    budget: Budget
    metric: str | None = Field(
        None,
        description="Import path of the metric that was the score. Where nothing can be right or wrong, `loss` if that "
        "was the score: minus the mean loss of the targets; else `agreement`: minus the mean divergence from the dense "
        "network's outputs. Null where accuracy is all that was measured.",
    )
    test_images: int | None = Field(None, gt=0, description="Images of the test split.")
    validation_images: int | None = Field(None, gt=0, description="Images of the validation split.")
    dense: DenseRow
    finalists: dict[str, PrunedRow] = Field(
        description="The pruned networks: `uniform`, in which every coupling group is cut alike; `pre_pruned`, that of "
        "the pre-pruning rule; `curves`, the best of the error curves; `random`, drawn at random; `mended`, the best "
        "score of the search; and `mended_2`, `mended_3`, … behind it. Older results have no `random`.",
    )
    exported: str = Field(
        description="The finalist in `model/`: the one that ended best on the validation split, of those that meet all "
        "limits in time."
    )
    best: str | None = Field(
        None, description="The finalist that ended best, whatever time it takes. Null in older results."
    )
    timings: dict[str, Timing] = Field(
        default_factory=dict,
        description="By limit in time: `latency_ms`, and `latency_ms.NAME` on the device of that name.",
    )
    trials: TrialCounts = Field(default_factory=TrialCounts, description="Trials from which `mended` was chosen.")
    seconds: dict[str, Number] = Field(default_factory=dict, description="Seconds of each stage.")
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of the packages that matter.")

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, value: Any) -> Any:
        """A result of the format before, whose three networks all had the whole fine-tuning."""
        names = (*reversed(CONTROLS), MENDED)
        if not isinstance(value, dict) or value.get("format", 1) != 1 or not value.keys() >= set(names):
            return value
        others = {key: item for key, item in value.items() if key not in names}
        return others | {"format": FORMAT, "finalists": {name: value[name] for name in names}, "exported": MENDED}

    @model_validator(mode="before")
    @classmethod
    def _of_one_device(cls, value: Any) -> Any:
        """A result of the time when a budget had one device."""
        if not isinstance(value, dict) or "timing" not in value:
            return value
        timing = value["timing"]
        others = {key: item for key, item in value.items() if key != "timing"}
        return others if timing is None else {"timings": {"latency_ms": timing}} | others

    @model_validator(mode="after")
    def _names_its_finalists(self) -> RunResult:
        for name in (*CONTROLS, MENDED, self.exported, self.best or self.exported):
            if name not in self.finalists:
                raise ValueError(f"finalist `{name}` is missing")
        return self

    @property
    def rows(self) -> dict[str, DenseRow]:
        """All networks by name, in the order of a table."""
        return {"dense": self.dense, **self.finalists}

    @property
    def winner(self) -> PrunedRow:
        """The network that was exported."""
        return self.finalists[self.exported]

    @property
    def controls(self) -> list[str]:
        """Names of the finalists that need no search."""
        return [name for name in self.finalists if not name.startswith(MENDED)]

    @property
    def main_controls(self) -> list[str]:
        """Names of the controls that are shown where there is no room for all: those that this result has."""
        return [name for name in (*CONTROLS, RANDOM) if name in self.finalists]

    @property
    def mending_paid(self) -> bool:
        """Whether the exported network is of the search, and not a control."""
        return self.exported not in self.controls

    @property
    def figures(self) -> dict[str, float | None]:
        """The figure that networks are judged by, by row: the metric, or where there is none the accuracy."""
        return {name: row.accuracy if self.metric is None else row.metric for name, row in self.rows.items()}

    @property
    def figures_before(self) -> dict[str, float | None]:
        """The same before fine-tuning, of the pruned networks."""
        pruned = self.finalists.items()
        return {name: row.accuracy_before if self.metric is None else row.metric_before for name, row in pruned}

    @property
    def figure_name(self) -> str:
        """What it is, for people: `accuracy`, `agreement`, `negative loss`, or the name of the user's function."""
        if self.metric == "loss":
            return "negative loss"
        return "accuracy" if self.metric is None else self.metric.rpartition(":")[2].rpartition(".")[2]

    @property
    def met(self) -> bool | None:
        """Whether the exported network meets all limits in time, by measurement; None where that is not known."""
        return all_met(self.timings)

    @property
    def on_validation(self) -> float:
        """How the exported network stands on the validation split; minus infinity where that is not known."""
        return self.winner.on_validation

    @property
    def gave_way(self) -> bool:
        """Whether another finalist is better, beyond the noise of the validation items, and not fast enough."""
        if self.best in (None, self.exported):
            return False
        lead = self.finalists[self.best].lead
        return lead is None or -lead.value > SIGNIFICANT * lead.error

    @property
    def mistimed(self) -> bool:
        """Whether latency models were wrong where it matters: the best finalist misses a limit in time, and the
        exported one misses it too, or is clearly worse."""
        return self.met is False or self.gave_way

    @property
    def times_ms(self) -> dict[str, float]:
        """Milliseconds of a pass, by row, all taken alike: on the first device of the budget, measured or else
        predicted; without such a budget, on the machine of the run."""
        for timing in self.timings.values():
            return {**(timing.measured_ms or timing.predicted_ms)}
        return {name: row.latency_ms for name, row in self.rows.items()}

    @property
    def scored_trials(self) -> int:
        """Trials that ended with a score, from which `mended` was chosen."""
        return self.trials.complete + self.trials.stopped_early
