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
from mendsearch.pipeline.run import Run
from mendsearch.training.loop import accuracy, train


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One structure after fine-tuning.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64, keep counts.
        score: score before fine-tuning.
        accuracy_before: accuracy (0-1) on the test split, before fine-tuning.
        accuracy: accuracy (0-1) on the test split, after fine-tuning.
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float
    accuracy: float


def finetune(run: Run, search: Search, structures: Mapping[str, Ints]) -> dict[str, Finetuned]:
    """Fine-tune every structure as the spec says; equal structures once, and none that the folder already has."""
    started, folder, epochs = time.perf_counter(), run.folder, run.spec.finetune.epochs
    distinct = {_key(counts): counts for counts in structures.values()}
    missing = [key for key in distinct if not (folder.path / "finetuned" / f"{key}.json").is_file()]
    with run.reporter.stage("fine-tune", len(distinct) * epochs) as stage:
        tuned = {key: _finetune_one(run, search, key, counts, stage.advance) for key, counts in distinct.items()}
    if missing or "finetune" not in folder:
        earlier = folder["finetune"]["seconds"] if "finetune" in folder else 0.0
        folder["finetune"] = {"seconds": earlier + time.perf_counter() - started}
    return {name: tuned[_key(counts)] for name, counts in structures.items()}


def _finetune_one(run: Run, search: Search, key: str, counts: Ints, advance: Callable[[str], None]) -> Finetuned:
    spec, splits = run.spec, run.inputs.splits
    folder, model = run.folder.path / "finetuned", search.problem.model
    found = read_json(folder / f"{key}.json")
    if found is None:
        score = search.scorer.refined_score(counts)
        pruned = search.scorer.build(counts)
        before = accuracy(pruned, splits.test, batch=splits.batch)
        train(
            pruned,
            splits.train,
            spec.finetune,
            seed=spec.seed,
            batch=splits.batch,
            augment=splits.augment,
            teacher=model,
            checkpoint=folder / f"{key}.pt",
            on_epoch=lambda loss: advance(f"loss {loss:.4f}"),
        )
        write_tensors(folder / f"{key}.safetensors", state_of(pruned))
        found = {
            "score": score,
            "accuracy_before": before,
            "accuracy": accuracy(pruned, splits.test, batch=splits.batch),
        }
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
