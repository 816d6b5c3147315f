"""The figures of a run: of its test split and its validation split."""

from __future__ import annotations

from torch import nn

from mendsearch.mending import measuring
from mendsearch.mending.measuring import BATCH, Measure
from mendsearch.pipeline.run import Run
from mendsearch.training.splits import batches


def measure_in(run: Run) -> Measure:
    """What measures networks of a run, whose dense network has its weights."""
    splits = run.inputs.splits
    return measuring.measure_in(run.inputs.problem, splits.calibration, splits.validation, run.spec.mend.score)


def tested(run: Run, measure: Measure, model: nn.Module) -> dict[str, float | None]:
    """Figures of a network on the test split, as `Measure.of`."""
    splits = run.inputs.splits
    return measure.of(model, batches(splits.test, BATCH, batch=splits.batch))
