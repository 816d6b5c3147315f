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
from mendsearch.mending.ladder import Kept, Standing, kept
from mendsearch.pipeline.leads import leads
from mendsearch.pipeline.measuring import tested
from mendsearch.pipeline.run import Run
from mendsearch.study.finalists import first_names
from mendsearch.study.fleet import counts_in
from mendstore.blobs import Blobs
from mendstore.queries.ladder import LadderFinalist
from mendstore.records import Lead, title


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One finalist, as it is kept.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64, keep counts.
        score: score before fine-tuning.
        accuracy_before: accuracy (0-1) on the test split, before fine-tuning; None where there are no classes.
        accuracy: the same of the network that is kept.
        accuracy_error: standard error of that, over the items of the test split.
        metric_before: `Measure.metric` on the test split, before fine-tuning; None where accuracy is all.
        metric: the same of the network that is kept.
        validation: metric, or accuracy, on the validation split, before fine-tuning and at each rung that was reached.
        kept: how the network that is kept stands on the validation split, and how many rungs it has behind it.
        part: fraction of the whole fine-tuning that it had.
        lead: lead of the exported finalist over this one; None for itself.
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float | None
    accuracy: float | None
    accuracy_error: float | None
    metric_before: float | None
    metric: float | None
    validation: tuple[float, ...]
    kept: Kept
    part: float
    lead: Lead | None = None


def finetuned(
    run: Run, tuner: Tuner, database: mendstore.Database, ladder: mendstore.Ladder
) -> tuple[dict[str, Finetuned], str]:
    """Take the finalists from the database, equal structures once, and choose the one to export.

    It is the one that stands best on the validation split as it is kept; without epochs, the one with the best score.

    Returns:
        all finalists by name, and the name of the chosen one.

    Raises:
        MendsearchError: no finalist could be fine-tuned.
        mendstore.StorageError: the database, or the store of its weights, cannot be reached.
    """
    if ladder.parts and ladder.best is None:
        logs = [step.log for step in ladder.steps if step.log]
        raise MendsearchError(f"no finalist could be fine-tuned: {logs[-1].splitlines()[-1] if logs else 'no reason'}")
    found: dict[str, Finetuned] = {}
    blobs = Blobs(database)
    with run.reporter.stage("test", len(ladder.distinct)) as stage, TemporaryDirectory(prefix="mendsearch-") as folder:
        for finalist in ladder.distinct:
            found[finalist.key] = _one(run, tuner, blobs, ladder, finalist, Path(folder) / "weights.safetensors")
            stage.advance(finalist.name)
    best = max(ladder.distinct, key=lambda finalist: worth(found[finalist.key]) if ladder.parts else _score(finalist))
    return {finalist.name: found[finalist.key] for finalist in ladder.finalists}, best.name


def worth(row: Finetuned) -> tuple[Kept, float]:
    """What finalists are compared by: the validation split, how much fine-tuning they had, and the score."""
    return row.kept, row.score


def made_worse(tuned: Mapping[str, Finetuned], best: str) -> str | None:
    """A line that says that fine-tuning made the best finalist worse, or some; None if it did not.

    A finalist that did not climb may have lost a little on the way to something better, and is not counted.
    """
    last = max(len(row.validation) for row in tuned.values())
    first = first_names({name: row.counts for name, row in tuned.items()})
    undone = {name: tuned[name] for name in first.values() if not tuned[name].kept.rungs}
    worse = [name for name, row in undone.items() if name == best or len(row.validation) == last]
    if last == 1 or not worse:
        return None
    fell = [f"{title(name)} from {tuned[name].validation[0]:.4g} to {tuned[name].validation[-1]:.4g}" for name in worse]
    return (
        f"fine-tuning made networks worse on validation, which are kept as they were before it: {', '.join(fell)}. Try "
        f"a lower finetune.learning_rate, or more passes"
    )


def with_leads(
    tuner: Tuner, database: mendstore.Database, ladder: mendstore.Ladder, tuned: Mapping[str, Finetuned], chosen: str
) -> dict[str, Finetuned]:
    """The finalists, with the lead of the chosen one over each of the others."""
    with TemporaryDirectory(prefix="mendsearch-") as folder:
        keys = {finalist.name: finalist.key for finalist in ladder.finalists}
        rungs = {keys[name]: row.kept.rungs for name, row in tuned.items()}
        found = leads(tuner, Blobs(database), ladder, keys[chosen], rungs, Path(folder) / "weights.safetensors")
    return {name: replace(row, lead=found.get(keys[name])) for name, row in tuned.items()}


def _one(
    run: Run, tuner: Tuner, blobs: Blobs, ladder: mendstore.Ladder, finalist: LadderFinalist, path: Path
) -> Finetuned:
    counts = counts_in(finalist.key)
    model = tuner.model(counts, None)
    first, done = tuner.measure.standing(model), finalist.done
    before = after = tested(run, tuner.measure, model)
    reached = [Standing(step.value, step.tie or 0.0) for step in done if step.value is not None]
    stands = kept(first, reached)
    if stands.rungs:
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
        accuracy_error=after["accuracy_error"],
        metric_before=before["metric"],
        metric=after["metric"],
        validation=(first.value, *(standing.value for standing in reached)),
        kept=stands,
        part=ladder.parts[stands.rungs - 1] if stands.rungs else 0.0,
    )


def _score(finalist: LadderFinalist) -> float:
    return -math.inf if finalist.score is None else finalist.score
