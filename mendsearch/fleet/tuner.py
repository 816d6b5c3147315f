"""Fine-tuning on this machine: a finalist is brought from one rung to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.config import Spec
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import DataError, MendsearchError, SpecError
from mendsearch.files import read_tensors
from mendsearch.fleet.compatibility import check_allowed
from mendsearch.mending.finetuning import finetuned_by
from mendsearch.mending.ladder import RUNGS, part_of
from mendsearch.mending.measuring import Measure, measure_in
from mendsearch.mending.search import Search
from mendsearch.outputs import LOGITS
from mendsearch.progress import Reporter
from mendsearch.training.functions import function_of, loss_of
from mendsearch.training.loop import train
from mendsearch.training.sources import open_source
from mendsearch.training.splits import Splits, split


def recipe_of(spec: Spec) -> str:
    """Digest of all that decides what a fine-tuning gives, beside the candidate and the dense network."""
    data = spec.data.model_dump(mode="json", exclude={"path"})
    recipe = [spec.finetune.model_dump(mode="json"), data, spec.seed, RUNGS]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Tuner:
    """Fine-tunes finalists, by the built-in loop or the user's function.

    Attributes:
        spec: spec of the search.
        search: the search.
        splits: its data.
        measure: what judges networks on the validation split.
    """

    spec: Spec
    search: Search
    splits: Splits
    measure: Measure

    def model(self, counts: Ints, weights: Path | None) -> nn.Module:
        """A finalist as it left a rung; before the first, with its refined weights.

        Args:
            counts: (G,) int64, keep counts.
            weights: safetensors file of the weights that it left the rung with; None before the first.
        """
        if weights is None:
            return self.search.scorer.build(counts)
        state = read_tensors(weights)
        sizes = self.search.scorer.weights.slicer.sizes(state)
        return build_pruned(self.search.problem.model, state, sizes).eval()

    def tune(self, model: nn.Module, rung: int, checkpoint: Path, on_epoch: Callable[[float], None]) -> nn.Module:
        """Bring a network, which may be changed, from the rung before to this one.

        On one kind of device the weights are the same whether or not it was interrupted; on a GPU as far as its
        algorithms are deterministic.

        Args:
            model: network as it left the rung before.
            rung: number of the rung.
            checkpoint: file written after every pass, from which fine-tuning goes on if it is there; a function of the
                user's has none.
            on_epoch: function called with the mean loss after every pass, and once for each one before the checkpoint.

        Raises:
            SpecError: the user's function does not give the network, fine-tuned.
            MendsearchError: the loss, or the weights, are no longer finite.
        """
        part, seed, spec = part_of(rung), self.spec.seed + rung, self.spec.finetune
        function = function_of(spec)
        if function is not None:
            name = f"finetune.function {spec.function}"
            tuned = finetuned_by(function, model, part, seed, name=name, error=SpecError)
            if not all(parameter.isfinite().all() for parameter in tuned.parameters()):
                raise MendsearchError(f"{name}: got weights that are not finite")
            return tuned
        train(
            model,
            self.splits.train,
            spec,
            seed=seed,
            part=part,
            batch=self.splits.batch,
            augment=self.splits.augment,
            teacher=self.search.problem.model,
            comparison=self.measure.comparison or LOGITS,
            loss=loss_of(spec),
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        return model


def tuner_of(spec: Spec, search: Search, splits: Splits) -> Tuner:
    """What fine-tunes the finalists of a search, given its data."""
    measure = measure_in(search.problem, splits.calibration, splits.validation, spec.mend.score)
    return Tuner(spec, search, splits, measure)


def tuner_here(spec: Spec, search: Search, data: Path | None, allow: Iterable[str], reporter: Reporter) -> Tuner | None:
    """What fine-tunes the finalists of a search, if this machine has what it takes; else None, and a line says why.

    Args:
        spec: spec of the search, as workers get it.
        search: the search, built from its bundle.
        data: folder of the training data, for sources that read one.
        allow: packages that may be imported.
        reporter: where the line goes.
    """
    own = spec.data if data is None else spec.data.model_copy(update={"path": data})
    try:
        for name in imported_by_workers(spec):
            check_allowed(name, allow)
        function_of(spec.finetune)
        splits = split(open_source(own, spec.seed), own, spec.seed)
        for ours, theirs in zip((splits.calibration, splits.validation[0]), search.data[:2], strict=True):
            if not _equal(ours, theirs):
                raise DataError(f"data {spec.data.name}: got other items than the search was made from")
        return tuner_of(spec, search, splits)
    except Exception as error:  # whatever it is, this worker can run trials
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, DataError | SpecError) else str(error)
        reporter.say(f"this worker takes no fine-tunings: {reason.splitlines()[0]}")
        return None


def imported_by_workers(spec: Spec) -> list[str]:
    """Names that may be import paths: of the network, the score, and what fine-tuning needs."""
    needed = (spec.data.name, spec.data.batch, spec.finetune.function, spec.finetune.loss)
    tuning = [name for name in needed if name is not None] if spec.finetune.epochs else []
    return [spec.model.name, spec.mend.score, *tuning]


def _equal(ours: Batch, theirs: Batch) -> bool:
    return repr(ours) == repr(theirs) and all(
        torch.equal(mine, other.to(mine.device)) for mine, other in zip(ours.tensors, theirs.tensors, strict=True)
    )
