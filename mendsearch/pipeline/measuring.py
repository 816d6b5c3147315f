"""The figures of a run: of its test split and its validation split."""

from __future__ import annotations

from torch import nn

from mendsearch.errors import SpecError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.measuring import BATCH, Measure
from mendsearch.outputs import Comparison, outputs_of
from mendsearch.pipeline.run import Run
from mendsearch.training.splits import batches


def comparison_in(run: Run) -> Comparison | None:
    """How the outputs of the dense network are compared, by its weights now; None if they cannot be."""
    problem = run.inputs.problem
    outputs, divergences = outputs_of(problem.model, run.inputs.splits.calibration, problem.outputs)
    return Comparison(outputs, divergences) if divergences else None


def measure_in(run: Run) -> Measure:
    """What measures networks of a run, whose dense network has its weights."""
    score = run.spec.mend.score
    function = import_factory(score, SpecError) if is_import_path(score) else None
    return Measure(run.inputs.problem.model, comparison_in(run), function, score, run.inputs.splits.validation)


def tested(run: Run, measure: Measure, model: nn.Module) -> dict[str, float | None]:
    """`accuracy` (0-1) and `metric` of a network on the test split; each None where there is none."""
    splits = run.inputs.splits
    return measure.of(model, batches(splits.test, BATCH, batch=splits.batch))
