"""Stage four: the same fine-tuning for every structure of the table."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from mendsearch.config import Spec
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.files import read_json, read_tensors, write_json, write_tensors
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendsearch.record import Record
from mendsearch.training.loop import accuracy, train
from mendsearch.training.splits import Splits


@dataclass(frozen=True, eq=False)
class Finetuned:
    """One structure after fine-tuning.

    Attributes:
        model: a plain dense network.
        counts: (G,) int64.
        score: before fine-tuning.
        accuracy_before: on the test split, before fine-tuning (0-1).
        accuracy: on the test split, after fine-tuning (0-1).
    """

    model: nn.Module
    counts: Ints
    score: float
    accuracy_before: float
    accuracy: float


def finetune(
    search: Search, structures: Mapping[str, Ints], spec: Spec, splits: Splits, record: Record, reporter: Reporter
) -> dict[str, Finetuned]:
    """Fine-tune every structure by the spec; equal structures once, and those that the run's folder has not again."""
    started = time.perf_counter()
    distinct = {_key(counts): counts for counts in structures.values()}
    missing = [key for key in distinct if not (record.out / "finetuned" / f"{key}.json").is_file()]
    with reporter.stage("fine-tune", len(distinct) * spec.finetune.epochs) as stage:
        tuned = {}
        for key, counts in distinct.items():
            tuned[key] = _finetune_one(search, key, counts, spec, splits, record, stage.advance)
    if missing or "finetune" not in record:
        earlier = record["finetune"]["seconds"] if "finetune" in record else 0.0
        record["finetune"] = {"seconds": earlier + time.perf_counter() - started}
    return {name: tuned[_key(counts)] for name, counts in structures.items()}


def _finetune_one(
    search: Search,
    key: str,
    counts: Ints,
    spec: Spec,
    splits: Splits,
    record: Record,
    advance: Callable[[str], None],
) -> Finetuned:
    folder, model = record.out / "finetuned", search.problem.model
    found = read_json(folder / f"{key}.json")
    if found is None:
        score = search.scorer.refined_score(counts)
        pruned = search.scorer.build(counts)
        before = accuracy(pruned, splits.test)
        train(
            pruned,
            splits.train,
            spec.finetune,
            seed=spec.seed,
            augment=splits.augment,
            teacher=model,
            checkpoint=folder / f"{key}.pt",
            on_epoch=lambda loss: advance(f"loss {loss:.4f}"),
        )
        write_tensors(folder / f"{key}.safetensors", pruned.state_dict())
        found = {"score": score, "accuracy_before": before, "accuracy": accuracy(pruned, splits.test)}
        write_json(folder / f"{key}.json", found)
        (folder / f"{key}.pt").unlink(missing_ok=True)
    else:
        for _ in range(spec.finetune.epochs):
            advance("")
    state = read_tensors(folder / f"{key}.safetensors")
    return Finetuned(build_pruned(model, state).eval(), counts, **found)


def _key(counts: Ints) -> str:
    return hashlib.sha256(counts.tobytes()).hexdigest()[:16]
