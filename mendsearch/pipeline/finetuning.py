"""Stage four: finalists are fine-tuned, a little at first; the better ones go on until the last have had the whole.

Everything is kept in `finetuned/`, one file for each structure and rung, so that a run that is killed goes on there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mendsearch.coupling.copying import state_of
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import SpecError
from mendsearch.files import read_json, read_tensors, write_json, write_tensors
from mendsearch.mending.ladder import RUNGS, Standing, best, climb, fine_tunings, part_of
from mendsearch.mending.measuring import Measure
from mendsearch.mending.search import Search
from mendsearch.outputs import LOGITS
from mendsearch.pipeline.inputs import function_of, loss_of
from mendsearch.pipeline.measuring import tested
from mendsearch.pipeline.run import Run
from mendsearch.study.finalists import Finalist, first_names
from mendsearch.training.loop import train


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


def finetune(
    run: Run, search: Search, finalists: Mapping[str, Finalist], measure: Measure
) -> tuple[dict[str, Finetuned], str]:
    """Fine-tune the finalists, equal structures once, and choose the one to export on the validation split.

    Without epochs, the choice is by the score.

    Returns:
        all finalists by name, and the name of the chosen one.
    """
    started, folder = time.perf_counter(), run.folder
    names = first_names(finalists)
    distinct = {name: finalists[name] for name in dict.fromkeys(names.values())}
    tuning = _Tuning(run, search, distinct, measure)
    if run.spec.finetune.epochs:
        with run.reporter.stage("fine-tune", fine_tunings(len(distinct))) as stage:
            tuning.advance = stage.advance
            reached = climb(distinct, tuning.standing_at)
        chosen = best(reached)
        rungs = {name: len(standings) for name, standings in reached.items()}
    else:
        chosen = max(distinct, key=lambda name: finalists[name].score)
        rungs = dict.fromkeys(distinct, 0)
    tuned = {name: tuning.result(name, rung) for name, rung in rungs.items()}
    if tuning.worked or "finetune" not in folder:
        earlier = folder["finetune"]["seconds"] if "finetune" in folder else 0.0
        folder["finetune"] = {"seconds": earlier + time.perf_counter() - started}
    return {name: tuned[names[name]] for name in finalists}, chosen


class _Tuning:
    """Brings finalists from rung to rung, by the built-in loop or the user's function."""

    def __init__(self, run: Run, search: Search, finalists: Mapping[str, Finalist], measure: Measure) -> None:
        self._run, self._search, self._finalists = run, search, finalists
        self._folder, self._measure = run.folder.path / "finetuned", measure
        self.advance: Callable[[str], None] = lambda note: None
        self.worked = False

    def start(self, name: str) -> dict[str, Any]:
        """Figures of a finalist before fine-tuning."""
        finalist = self._finalists[name]
        return self._once(
            self._folder / f"{_key(finalist.counts)}.json",
            lambda: {"score": finalist.score} | self._figures(self._model(name, -1)),
        )

    def _figures(self, model: nn.Module) -> dict[str, Any]:
        """`accuracy` and `metric` on the test split, `validation` and `tie` on the validation split."""
        standing = self._measure.standing(model)
        return {**tested(self._run, self._measure, model), "validation": standing.value, "tie": standing.tie}

    def standing_at(self, name: str, rung: int) -> Standing:
        """Bring a finalist from the rung before to this one, and say how good it is there."""
        found = self._at(name, rung)
        self.advance(f"{name}: {found['validation']:.4f} on validation after {RUNGS[rung]:.0%}")
        return Standing(found["validation"], found["tie"])

    def result(self, name: str, rungs: int) -> Finetuned:
        """A finalist as it is after that many rungs."""
        steps = [self.start(name), *(self._at(name, rung) for rung in range(rungs))]
        return Finetuned(
            model=self._model(name, rungs - 1),
            counts=self._finalists[name].counts,
            score=steps[0]["score"],
            accuracy_before=steps[0]["accuracy"],
            accuracy=steps[-1]["accuracy"],
            metric_before=steps[0]["metric"],
            metric=steps[-1]["metric"],
            validation=tuple(step["validation"] for step in steps),
            part=RUNGS[rungs - 1] if rungs else 0.0,
        )

    def _at(self, name: str, rung: int) -> dict[str, Any]:
        path = self._path(name, rung)

        def tuned() -> dict[str, Any]:
            before = self._model(name, rung - 1)
            model = self._tune(before, part_of(rung), rung, path.with_suffix(".pt"))
            write_tensors(path.with_suffix(".safetensors"), state_of(model))
            return self._figures(model)

        found = self._once(path, tuned)
        path.with_suffix(".pt").unlink(missing_ok=True)
        return found

    def _tune(self, model: nn.Module, part: float, rung: int, checkpoint: Path) -> nn.Module:
        run, splits = self._run, self._run.inputs.splits
        seed = run.spec.seed + rung
        function = function_of(run.spec.finetune)
        if function is not None:
            tuned = function(model, part, seed)
            if not isinstance(tuned, nn.Module):
                raise SpecError(
                    f"finetune.function {run.spec.finetune.function}: got {type(tuned).__name__}, expected the "
                    f"fine-tuned nn.Module"
                )
            return tuned.eval()
        train(
            model,
            splits.train,
            run.spec.finetune,
            seed=seed,
            part=part,
            batch=splits.batch,
            augment=splits.augment,
            teacher=self._search.problem.model,
            comparison=self._measure.comparison or LOGITS,
            loss=loss_of(run.spec.finetune),
            checkpoint=checkpoint,
        )
        return model

    def _model(self, name: str, rung: int) -> nn.Module:
        """A finalist as it left a rung; before the first, with its refined weights."""
        if rung < 0:
            return self._search.scorer.build(self._finalists[name].counts)
        state = read_tensors(self._path(name, rung).with_suffix(".safetensors"))
        sizes = self._search.scorer.weights.slicer.sizes(state)
        return build_pruned(self._search.problem.model, state, sizes).eval()

    def _path(self, name: str, rung: int) -> Path:
        return self._folder / f"{_key(self._finalists[name].counts)}-{rung}.json"

    def _once(self, path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] | None = read_json(path)
        if found is None:
            self.worked, found = True, work()
            write_json(path, found)
        return found


def _key(counts: Ints) -> str:
    return hashlib.sha256(counts.tobytes()).hexdigest()[:16]
