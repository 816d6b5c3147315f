"""Stage four: the finalists as the fleet fine-tuned them, with the figures of the test split, and the one to export.

Workers need no test split. Whoever exports measures it, on the weights that they left in the blobs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

import mendstore
from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.fleet.tuner import Tuner
from mendsearch.pipeline.leads import leads
from mendsearch.pipeline.measuring import tested
from mendsearch.pipeline.run import Run
from mendsearch.study.fleet import counts_in
from mendstore.blobs import Blobs
from mendstore.queries.ladder import LadderFinalist
from mendstore.records import Lead


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One finalist, as far as it was fine-tuned.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64, keep counts.
        score: score before fine-tuning.
        accuracy_before: accuracy (0-1) on the test split, before fine-tuning; None where there are no classes.
        accuracy: the same after fine-tuning.
        metric_before: `Measure.metric` on the test split, before fine-tuning; None where accuracy is all.
        metric: the same after fine-tuning.
        validation: metric, or accuracy, on the validation split, before fine-tuning and at each rung that was reached.
        part: fraction of the whole fine-tuning that it had.
        lead: lead of the exported finalist over this one; None for itself.
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float | None
    accuracy: float | None
    metric_before: float | None
    metric: float | None
    validation: tuple[float, ...]
    part: float
    lead: Lead | None = None


def finetuned(
    run: Run, tuner: Tuner, database: mendstore.Database, ladder: mendstore.Ladder
) -> tuple[dict[str, Finetuned], str]:
    """Take the finalists from the database, equal structures once, and choose the one to export.

    It is the one that stands best on the validation split; without epochs, the one with the best score.

    Returns:
        all finalists by name, and the name of the chosen one.

    Raises:
        MendsearchError: no finalist could be fine-tuned.
        mendstore.StorageError: the database, or the store of its weights, cannot be reached.
    """
    best = ladder.best if ladder.parts else max(ladder.distinct, key=_score)
    if best is None:
        logs = [step.log for step in ladder.steps if step.log]
        raise MendsearchError(f"no finalist could be fine-tuned: {logs[-1].splitlines()[-1] if logs else 'no reason'}")
    found: dict[str, Finetuned] = {}
    blobs = Blobs(database)
    with run.reporter.stage("test", len(ladder.distinct)) as stage, TemporaryDirectory(prefix="mendsearch-") as folder:
        for finalist in ladder.distinct:
            found[finalist.key] = _one(run, tuner, blobs, ladder, finalist, Path(folder) / "weights.safetensors")
            stage.advance(finalist.name)
    return {finalist.name: found[finalist.key] for finalist in ladder.finalists}, best.name


def ruined(tuned: Mapping[str, Finetuned], best: str) -> str | None:
    """A line that says that fine-tuning made every finalist worse on validation; None if it did not."""
    if any(row.validation[-1] >= row.validation[0] for row in tuned.values()):
        return None
    first, last = tuned[best].validation[0], tuned[best].validation[-1]
    return (
        f"fine-tuning made every finalist worse on validation, the best one from {first:.4f} to {last:.4f}: "
        f"try a lower finetune.learning_rate, or more passes"
    )


def with_leads(
    tuner: Tuner, database: mendstore.Database, ladder: mendstore.Ladder, tuned: Mapping[str, Finetuned], chosen: str
) -> dict[str, Finetuned]:
    """The finalists, with the lead of the chosen one over each of the others."""
    with TemporaryDirectory(prefix="mendsearch-") as folder:
        found = leads(tuner, Blobs(database), ladder, chosen, Path(folder) / "weights.safetensors")
    keys = {finalist.name: finalist.key for finalist in ladder.finalists}
    return {name: replace(row, lead=found.get(keys[name])) for name, row in tuned.items()}


def _one(
    run: Run, tuner: Tuner, blobs: Blobs, ladder: mendstore.Ladder, finalist: LadderFinalist, path: Path
) -> Finetuned:
    counts = counts_in(finalist.key)
    model = tuner.model(counts, None)
    before, first = tested(run, tuner.measure, model), tuner.measure.standing(model).value
    after, done = before, finalist.done
    if done:
        assert done[-1].weights is not None  # of every fine-tuning that is done
        blobs.save(done[-1].weights, path)
        model = tuner.model(counts, path)
        after = tested(run, tuner.measure, model)
    return Finetuned(
        model=model,
        counts=counts,
        score=_score(finalist),
        accuracy_before=before["accuracy"],
        accuracy=after["accuracy"],
        metric_before=before["metric"],
        metric=after["metric"],
        validation=(first, *(step.value for step in done if step.value is not None)),
        part=ladder.parts[done[-1].rung] if done else 0.0,
    )


def _score(finalist: LadderFinalist) -> float:
    return -math.inf if finalist.score is None else finalist.score
