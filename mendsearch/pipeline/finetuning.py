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
from mendsearch.importing import import_factory
from mendsearch.mending.ladder import RUNGS, Standing, best, climb, promoted
from mendsearch.mending.search import Search
from mendsearch.pipeline.run import Run
from mendsearch.study.finalists import Finalist
from mendsearch.training.loop import accuracy, judge, train


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One finalist, as far as it was fine-tuned.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64, keep counts.
        score: score before fine-tuning.
        accuracy_before: accuracy (0-1) on the test split, before fine-tuning.
        accuracy: accuracy (0-1) on the test split, after it.
        validation: accuracy (0-1) on the validation split, before it and at each rung that was reached.
        part: fraction of the whole fine-tuning that it had.
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float
    accuracy: float
    validation: tuple[float, ...]
    part: float


def finetune(run: Run, search: Search, finalists: Mapping[str, Finalist]) -> tuple[dict[str, Finetuned], str]:
    """Fine-tune the finalists, equal structures once, and choose the one to export on the validation split.

    Without epochs, the choice is by the score.

    Returns:
        all finalists by name, and the name of the chosen one.
    """
    started, folder = time.perf_counter(), run.folder
    names: dict[str, str] = {}
    for name, finalist in finalists.items():
        names.setdefault(_key(finalist.counts), name)
    distinct = {name: finalists[name] for name in names.values()}
    tuning = _Tuning(run, search, distinct)
    if run.spec.finetune.epochs:
        with run.reporter.stage("fine-tune", tuning.steps) as stage:
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
    return {name: tuned[names[_key(finalist.counts)]] for name, finalist in finalists.items()}, chosen


class _Tuning:
    """Brings finalists from rung to rung, by the built-in loop or the user's function."""

    def __init__(self, run: Run, search: Search, finalists: Mapping[str, Finalist]) -> None:
        self._run, self._search, self._finalists = run, search, finalists
        self._folder = run.folder.path / "finetuned"
        self.advance: Callable[[str], None] = lambda note: None
        self.worked = False

    @property
    def steps(self) -> int:
        """Fine-tunings in all."""
        climbing, total = len(self._finalists), 0
        for _ in RUNGS:
            total, climbing = total + climbing, promoted(climbing)
        return total

    def start(self, name: str) -> dict[str, Any]:
        """Figures of a finalist before fine-tuning: `score`, and the accuracies `test` and `validation`."""
        finalist, splits = self._finalists[name], self._run.inputs.splits
        return self._once(
            self._folder / f"{_key(finalist.counts)}.json",
            lambda: {
                "score": finalist.score,
                "test": accuracy(model := self._model(name, -1), splits.test),
                "validation": judge(model, *splits.validation)[0],
            },
        )

    def standing_at(self, name: str, rung: int) -> Standing:
        """Bring a finalist from the rung before to this one, and say how good it is there."""
        found = self._at(name, rung)
        self.advance(f"{name}: {found['validation']:.2%} at {RUNGS[rung]:.0%}")
        return Standing(found["validation"], -found["loss"])

    def result(self, name: str, rungs: int) -> Finetuned:
        """A finalist as it is after that many rungs."""
        start, steps = self.start(name), [self._at(name, rung) for rung in range(rungs)]
        return Finetuned(
            self._model(name, rungs - 1),
            self._finalists[name].counts,
            start["score"],
            start["test"],
            steps[-1]["test"] if steps else start["test"],
            (start["validation"], *(step["validation"] for step in steps)),
            RUNGS[rungs - 1] if rungs else 0.0,
        )

    def _at(self, name: str, rung: int) -> dict[str, Any]:
        path, splits = self._path(name, rung), self._run.inputs.splits

        def tuned() -> dict[str, Any]:
            before = self._model(name, rung - 1)
            part = RUNGS[rung] - (RUNGS[rung - 1] if rung else 0.0)
            model = self._tune(before, part, rung, path.with_suffix(".pt"))
            write_tensors(path.with_suffix(".safetensors"), state_of(model))
            validation, loss = judge(model, *splits.validation)
            return {"validation": validation, "loss": loss, "test": accuracy(model, splits.test)}

        found = self._once(path, tuned)
        path.with_suffix(".pt").unlink(missing_ok=True)
        return found

    def _tune(self, model: nn.Module, part: float, rung: int, checkpoint: Path) -> nn.Module:
        run, splits = self._run, self._run.inputs.splits
        seed = run.spec.seed + 1_000_000 * rung
        if run.spec.finetune.function is not None:
            tuned = import_factory(run.spec.finetune.function, SpecError)(model, part, seed)
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
            augment=splits.augment,
            teacher=self._search.problem.model,
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
