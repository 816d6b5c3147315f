"""What keep counts in multiples cost: `python bench/multiples.py`. Digits, a ResNet-8 of width 32, no fine-tuning.

For every split a dense network is trained once; then each multiple gets a search of its own, and beside it stand the
uniform structures of the same multiple. Scores are refined ones; accuracy is on the test split, before any training.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from rows import RESULTS

import mendsearch
from mendsearch.config import PruneSpec, Spec, load_spec
from mendsearch.files import write_json
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.pipeline.demo import SPEC
from mendsearch.pipeline.export import versions
from mendsearch.pipeline.inputs import Inputs, read_inputs
from mendsearch.progress import Reporter
from mendsearch.training.loop import accuracy, train

SEEDS = (0, 1, 2)
RATES = (0.4, 0.2)
MULTIPLES = (1, 4, 8)
TRIALS = 100
QUIET = Reporter(quiet=True)


def trained(spec: Spec) -> Inputs:
    """The dense network of a split."""
    loaded = read_inputs(spec)
    train(loaded.problem.model, loaded.splits.train, spec.train, seed=spec.seed, augment=loaded.splits.augment)
    return loaded


def measure(loaded: Inputs, spec: Spec, rate: float, multiple: int) -> dict[str, dict[str, float]]:
    """The mended and the uniform network of one multiple."""
    model, splits = loaded.problem.model, loaded.splits
    budget, prune = mendsearch.Budget(macs=rate), PruneSpec(multiple=multiple)
    pruned = mendsearch.mend(
        model, calibration=splits.calibration, validation=splits.validation[0], budget=budget, prune=prune,
        n_trials=TRIALS, seed=spec.seed, quiet=True,
    )  # fmt: skip
    problem = build_problem(model, splits.calibration, budget, prune)
    ranking, inputs = rank_channels(problem, splits.calibration, "gram", spec.seed, QUIET)
    search = Search(
        problem, ranking, inputs, calibration=splits.calibration, validation=splits.validation[0], labels=None,
        prune=prune, mend=spec.mend,
    )  # fmt: skip
    dense = problem.limits.costs.cost(problem.coupling.widths)["macs"]
    uniform = search.uniform
    return {
        "mended": {"score": pruned.score, "accuracy": accuracy(pruned.model, splits.test), "macs": pruned.macs / dense},
        "uniform": {
            "score": search.scorer.refined_score(uniform),
            "accuracy": accuracy(search.scorer.build(uniform), splits.test),
            "macs": problem.limits.costs.cost(uniform)["macs"] / dense,
        },
    }


def main() -> None:
    torch.set_num_threads(2)
    found: dict[tuple[float, int, str], list[dict[str, float]]] = {}
    for seed in SEEDS:
        spec = load_spec(SPEC, (f"seed={seed}", "model.kwargs={width=32}", "budget.macs=0.5"))
        loaded = trained(spec)
        print("dense", seed, accuracy(loaded.problem.model, loaded.splits.test), flush=True)
        for rate in RATES:
            for multiple in MULTIPLES:
                for name, row in measure(loaded, spec, rate, multiple).items():
                    found.setdefault((rate, multiple, name), []).append(row)
                    print(seed, rate, multiple, name, row, flush=True)
    rows: list[dict[str, Any]] = []
    for (rate, multiple, name), each in found.items():
        means = {key: round(statistics.mean(row[key] for row in each), 5) for key in each[0]}
        spread = {f"{key}_sd": round(statistics.stdev(row[key] for row in each), 5) for key in ("score", "accuracy")}
        rows.append({"rate": rate, "multiple": multiple, "network": name, **means, **spread, "each": each})
        print({key: value for key, value in rows[-1].items() if key != "each"}, flush=True)
    write_json(RESULTS / "multiples.json", {"seeds": SEEDS, "trials": TRIALS, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
