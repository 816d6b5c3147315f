"""Rows of an accuracy table: one dense network, one search, the controls, all fine-tuned alike."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch

import mendstore
from bench.files import RESULTS, WORK, write_figures
from mendsearch.config import Spec
from mendsearch.coupling.layout import Ints
from mendsearch.files import read_json, write_json
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import Search
from mendsearch.pipeline.export import versions
from mendsearch.pipeline.folder import RunFolder
from mendsearch.pipeline.inputs import read_inputs
from mendsearch.pipeline.preparation import rank, train_dense
from mendsearch.pipeline.run import Run
from mendsearch.progress import Reporter
from mendsearch.study.finalists import choose
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_study
from mendsearch.training.loop import accuracy, train
from mendsearch.training.splits import Splits

RANDOM_STRUCTURES = 5


def compare(spec: Spec, finetune_seeds: tuple[int, ...], dense_from: Path | None = None) -> dict[str, Any]:
    """Score before and accuracy after fine-tuning: dense, uniform, pre-pruned, mended and random.

    A finished comparison is kept in `bench/work/` and read from there.

    Args:
        spec: spec of the search; its seed governs split, weights, ranking and sampling.
        finetune_seeds: seeds of the fine-tunings of each structure; its accuracy is their mean.
        dense_from: folder of an earlier comparison whose dense network is used again.
    """
    out = WORK / spec.name
    found = read_json(out / "rows.json")
    if (
        found is not None
        and found["spec"] == spec.model_dump(mode="json")
        and found["finetune_seeds"] == list(finetune_seeds)
    ):
        return found  # type: ignore[no-any-return]
    url = mendstore.EmbeddedServer(WORK / ".mendsearch").start()
    if not out.is_dir():
        forget(url, spec.name)
    out.mkdir(parents=True, exist_ok=True)
    reporter, inputs, folder = Reporter(), read_inputs(spec), RunFolder(out)
    problem, splits = inputs.problem, inputs.splits
    if dense_from is not None and "train" not in folder:
        (out / "dense.safetensors").write_bytes((dense_from / "dense.safetensors").read_bytes())
        folder["train"] = RunFolder(dense_from)["train"]
    run = Run(spec, inputs, folder, url, reporter)
    train_dense(run)
    search = rank(run)
    started = time.perf_counter()
    study = run_study(
        search, spec.mend, registration=Registration(url, spec.name), name=spec.name, seed=spec.seed, reporter=reporter
    )
    mend_s = time.perf_counter() - started
    mended = choose(study, search, 1, spec.seed, reporter)["mended"].counts
    structures = {"uniform": search.uniform, "pre_pruned": search.pre_pruned, "mended": mended}
    drawn = random_structures(search.space, RANDOM_STRUCTURES, spec.seed)
    structures |= {f"random {i}": counts for i, counts in enumerate(drawn)}
    rows = {
        name: _row(search, counts, spec, splits, finetune_seeds, reporter, name) for name, counts in structures.items()
    }
    value = {
        "spec": spec.model_dump(mode="json"),
        "finetune_seeds": list(finetune_seeds),
        "dense": {
            "accuracy": folder["train"]["accuracy"],
            "score": search.scorer.dense_score(),
            **problem.limits.costs.cost(problem.coupling.widths),
        },
        "rows": rows,
        "widths": problem.coupling.keep_counts(problem.coupling.widths),
        "floor": problem.coupling.keep_counts(search.space.floor),
        "mend_seconds_last_session": mend_s,
        "versions": versions(),
    }
    write_json(out / "rows.json", value)
    return value


def forget(url: str, name: str) -> None:
    """Delete the study of that name if an earlier run left one."""
    if any(summary.name == name for summary in mendstore.summaries(url)):
        optuna.delete_study(study_name=name, storage=url)


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock and processor seconds of `work`; other load on the machine changes the latter less."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu


def _row(
    search: Search, counts: Ints, spec: Spec, splits: Splits, seeds: tuple[int, ...], reporter: Reporter, name: str
) -> dict[str, Any]:
    before = search.scorer.build(counts)
    accuracies = []
    for seed in seeds:
        pruned = search.scorer.build(counts)
        train(pruned, splits.train, spec.finetune, seed=seed, augment=splits.augment, teacher=search.problem.model)
        accuracies.append(accuracy(pruned, splits.test))
    row = {
        "keep_counts": search.problem.coupling.keep_counts(counts),
        **search.problem.limits.costs.cost(counts),
        "score": search.scorer.refined_score(counts),
        "accuracy_before": accuracy(before, splits.test),
        "accuracy": statistics.mean(accuracies),
        "accuracies": accuracies,
    }
    reporter.say(
        f"{spec.name} {name}: score {row['score']:.4f}, test {row['accuracy_before']:.4f} -> {row['accuracy']:.4f}"
    )
    return row


def condensed(value: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Score, accuracy before and after fine-tuning, and MACs of each row; random structures are averaged into one."""
    keys = ("score", "accuracy_before", "accuracy", "macs")
    rows = {
        name: {key: row[key] for key in keys} for name, row in value["rows"].items() if not name.startswith("random")
    }
    drawn = [row for name, row in value["rows"].items() if name.startswith("random")]
    rows["random"] = {key: statistics.mean(row[key] for row in drawn) for key in keys}
    rows["dense"] = {
        "score": value["dense"]["score"], "accuracy_before": value["dense"]["accuracy"],
        "accuracy": value["dense"]["accuracy"], "macs": value["dense"]["macs"],
    }  # fmt: skip
    return rows


def summarise(values: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean of each row and, for several comparisons, its standard deviation."""
    tables = [condensed(value) for value in values]
    summary: dict[str, dict[str, Any]] = {}
    for row in tables[0]:
        summary[row] = {}
        for key in tables[0][row]:
            numbers = [table[row][key] for table in tables]
            summary[row][key] = {
                "mean": statistics.mean(numbers),
                "sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
            }
    return summary


def thinned(values: dict[str, Any]) -> dict[str, Any]:
    """What all comparisons share, stored once, and the numbers of each; keep counts are in the order of `widths`."""
    first = next(iter(values.values()))
    spec = {key: value for key, value in first["spec"].items() if key not in ("name", "seed", "budget")}
    shared = {"spec": spec, **{key: first[key] for key in ("finetune_seeds", "widths", "versions")}}
    return shared | {"comparisons": {name: _short(value, list(first["widths"])) for name, value in values.items()}}


def _short(value: dict[str, Any], groups: list[str]) -> dict[str, Any]:
    rows = {
        name: {
            "keep_counts": [row["keep_counts"][group] for group in groups],
            **{key: row[key] for key in ("macs", "params")},
            **{key: round(row[key], 6) for key in ("score", "accuracy_before")},
            "accuracies": [round(accuracy, 6) for accuracy in row["accuracies"]],
        }
        for name, row in value["rows"].items()
    }
    return {
        "seed": value["spec"]["seed"],
        "budget": {key: limit for key, limit in value["spec"]["budget"].items() if limit is not None},
        "dense": value["dense"],
        "floor": [value["floor"][group] for group in groups],
        "rows": rows,
        "mend_seconds_last_session": round(value["mend_seconds_last_session"], 1),
    }


def publish(name: str, summary: dict[str, Any], values: dict[str, Any]) -> None:
    """Print the tables, and write them with the figures of every comparison to `bench/results/NAME.json`."""
    for title, rows in summary.items():
        print(f"\n{title}\n{'':12}{'score':>18}{'test before':>18}{'test after':>18}{'MACs':>12}")
        for row, numbers in rows.items():
            cells = "".join(
                f"{numbers[k]['mean']:10.4f}"
                + (f" ±{numbers[k]['sd']:.4f}" if numbers[k]["sd"] is not None else " " * 8)
                for k in ("score", "accuracy_before", "accuracy")
            )
            print(f"{row:12}{cells}{numbers['macs']['mean']:12,.0f}")
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    write_figures(name, {"machine": machine, "summary": summary, **thinned(values)})
    print(json.dumps({"written": str(RESULTS / f"{name}.json")}))
