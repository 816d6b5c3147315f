"""The result of a run: `result.json` in the run's folder, and the study attribute `results`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mendstore.records.base import Cost, Counts, Number, Record

RESULTS = "results"
"""Name of the study attribute."""
FORMAT = 1
"""Version of the format; it grows when a reader of the one before would misread a result."""
CONTROLS = ("pre_pruned", "uniform")
ROWS = ("dense", "uniform", "pre_pruned", "mended")
TITLES = {"dense": "dense", "uniform": "uniform", "pre_pruned": "pre-pruned", "mended": "mended"}
"""Titles of the rows for people."""


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
    metric: Number | None = Field(None, description="What `metric` of the result names, on the test split.")
    macs: Cost = Field(description="Multiply-accumulates of one image.")
    params: Cost = Field(description="Parameters.")
    latency_ms: Number = Field(description="Milliseconds for one image on the machine of the run.")


class PrunedRow(DenseRow):
    """Figures of a pruned network after fine-tuning."""

    accuracy_before: Number | None = Field(None, description="`accuracy` before fine-tuning.")
    metric_before: Number | None = Field(None, description="`metric` before fine-tuning.")
    keep_counts: Counts = Field(description="Channels that stay, by coupling group.")
    score: Number | None = Field(None, description="Score on the validation split before fine-tuning, if finite.")


class TrialCounts(Record):
    """Trials by how they ended."""

    complete: int = Field(0, ge=0)
    stopped_early: int = Field(0, ge=0)
    failed: int = Field(0, ge=0)


class RunResult(Record):
    """The networks of a finished run, and what they were made from."""

    format: Literal[1] = Field(1, description="Version of this format.")
    search: str = Field(description="Name of the search, which is that of its Optuna study.")
    model: Model
    budget: Budget
    metric: str | None = Field(
        None,
        description="Import path of the metric that was the score, or `agreement` where nothing can be right or wrong: "
        "minus the mean divergence from the dense network's outputs. Null where accuracy is all that was measured.",
    )
    test_images: int | None = Field(None, gt=0, description="Images of the test split.")
    dense: DenseRow
    uniform: PrunedRow = Field(description="The control in which every coupling group is cut alike.")
    pre_pruned: PrunedRow = Field(description="The control that the pre-pruning rule gives.")
    mended: PrunedRow = Field(description="The network that the search found.")
    trials: TrialCounts = Field(default_factory=TrialCounts, description="Trials from which `mended` was chosen.")
    seconds: dict[str, Number] = Field(default_factory=dict, description="Seconds of each stage.")
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of the packages that matter.")

    @property
    def rows(self) -> dict[str, DenseRow]:
        """All networks by name, in the order of a table."""
        return {name: getattr(self, name) for name in ROWS}

    @property
    def pruned(self) -> dict[str, PrunedRow]:
        """The pruned networks by name."""
        return {"uniform": self.uniform, "pre_pruned": self.pre_pruned, "mended": self.mended}

    @property
    def figures(self) -> dict[str, float | None]:
        """The figure that networks are judged by, by row: the metric, or where there is none the accuracy."""
        return {name: row.accuracy if self.metric is None else row.metric for name, row in self.rows.items()}

    @property
    def figures_before(self) -> dict[str, float | None]:
        """The same before fine-tuning, of the pruned networks."""
        pruned = self.pruned.items()
        return {name: row.accuracy_before if self.metric is None else row.metric_before for name, row in pruned}

    @property
    def figure_name(self) -> str:
        """What that figure is, for people: `accuracy`, `agreement`, or the name of the user's function."""
        return "accuracy" if self.metric is None else self.metric.rpartition(":")[2].rpartition(".")[2]

    @property
    def scored_trials(self) -> int:
        """Trials that ended with a score, from which `mended` was chosen."""
        return self.trials.complete + self.trials.stopped_early
