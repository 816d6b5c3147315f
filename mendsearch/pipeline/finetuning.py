"""Stage four: the same fine-tuning for every structure of the table."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from mendsearch.coupling.copying import state_of
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import read_json, read_tensors, write_json, write_tensors
from mendsearch.mending.search import Search
from mendsearch.outputs import LOGITS
from mendsearch.pipeline.inputs import loss_of
from mendsearch.pipeline.measuring import Measure, comparison_in
from mendsearch.pipeline.run import Run
from mendsearch.training.loop import train


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One structure after fine-tuning.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64, keep counts.
        score: score before fine-tuning.
        accuracy_before: accuracy (0-1) on the test split, before fine-tuning; None where there are no classes.
        accuracy: the same after fine-tuning.
        metric_before: `Measure.metric` on the test split, before fine-tuning; None where accuracy is all.
        metric: the same after fine-tuning.
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float | None
    accuracy: float | None
    metric_before: float | None = None
    metric: float | None = None


def finetune(run: Run, search: Search, structures: Mapping[str, Ints]) -> dict[str, Finetuned]:
    """Fine-tune every structure as the spec says; equal structures once, and none that the folder already has."""
    started, folder, epochs = time.perf_counter(), run.folder, run.spec.finetune.epochs
    distinct = {_key(counts): counts for counts in structures.values()}
    missing = [key for key in distinct if not (folder.path / "finetuned" / f"{key}.json").is_file()]
    measure = Measure(run)
    with run.reporter.stage("fine-tune", len(distinct) * epochs) as stage:
        tuned = {
            key: _finetune_one(run, search, measure, key, counts, stage.advance) for key, counts in distinct.items()
        }
    if missing or "finetune" not in folder:
        earlier = folder["finetune"]["seconds"] if "finetune" in folder else 0.0
        folder["finetune"] = {"seconds": earlier + time.perf_counter() - started}
    return {name: tuned[_key(counts)] for name, counts in structures.items()}


def _finetune_one(
    run: Run, search: Search, measure: Measure, key: str, counts: Ints, advance: Callable[[str], None]
) -> Finetuned:
    spec, splits = run.spec, run.inputs.splits
    folder, model = run.folder.path / "finetuned", search.problem.model
    found = read_json(folder / f"{key}.json")
    if found is None:
        score = search.scorer.refined_score(counts)
        pruned = search.scorer.build(counts)
        before = {f"{name}_before": value for name, value in measure.of(pruned).items()}
        train(
            pruned,
            splits.train,
            spec.finetune,
            seed=spec.seed,
            batch=splits.batch,
            augment=splits.augment,
            teacher=model,
            comparison=comparison_in(run) or LOGITS,
            loss=loss_of(spec.finetune),
            checkpoint=folder / f"{key}.pt",
            on_epoch=lambda loss: advance(f"loss {loss:.4f}"),
        )
        write_tensors(folder / f"{key}.safetensors", state_of(pruned))
        found = {"score": score, **before, **measure.of(pruned)}
        write_json(folder / f"{key}.json", found)
        (folder / f"{key}.pt").unlink(missing_ok=True)
    else:
        for _ in range(spec.finetune.epochs):
            advance("")
    state = read_tensors(folder / f"{key}.safetensors")
    sizes = search.scorer.weights.slicer.sizes(state)
    return Finetuned(build_pruned(model, state, sizes).eval(), counts, **found)


def _key(counts: Ints) -> str:
    return hashlib.sha256(counts.tobytes()).hexdigest()[:16]
