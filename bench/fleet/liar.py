"""Optuna's `constant_liar` for `tpe`: best score with 1 and 8 workers, with and without it. Resumable.

A fleet is simulated in one process: every worker has a sampler of its own and proposes while the others score, and
trials take between half and one and a half times the mean. Candidates are structures of a digits network at two rates,
and all begin with the same ones. Their scores are made up, which costs nothing: for each coupling group a convex loss
of the part that is removed, and products of pairs of these parts. At the first rate they are real, too. With one worker
no trial runs while it proposes, so both settings give the same.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import torch
from optuna.samplers import TPESampler

from bench.accuracy.samplers import DIGITS, RATES, search_of
from bench.files import WORK, write_figures
from bench.networks import digits
from mendsearch.coupling.layout import Ints
from mendsearch.files import read_json, write_json
from mendsearch.mending.sampler import OptunaSampler
from mendsearch.mending.search import Search
from mendsearch.mending.space import Space
from mendsearch.pipeline.export import versions

TAKES = "15 minutes"
SEEDS = {1: range(2), 8: range(4)}
"""Seeds by number of workers; one worker is there to show that the setting makes no difference to it."""
MADE_UP = {1: range(2), 8: range(20)}
"""Made-up objectives by number of workers; each is a seed, too."""
TRIALS, EARLY = 120, 60
SETTINGS = {"off": False, "on": True}
KINDS = ("made-up", "digits")
Objective = Callable[[Ints], float]


def simulated(search: Search, value: Objective, workers: int, liar: bool, seed: int) -> dict[str, list[float] | float]:
    """The best score after every trial of a fleet, and milliseconds per proposal.

    Args:
        search: network and budget.
        value: score of a candidate.
        workers: number of workers.
        liar: whether TPE takes running trials for bad ones.
        seed: of the samplers and the durations.
    """
    space, draw = search.space, random.Random(seed)
    samplers = [_tpe(space, liar, seed + 1000 * ordinal) for ordinal in range(workers)]
    study = optuna.create_study(direction="maximize")
    for counts in search.starts:
        study.enqueue_trial(space.params(counts), skip_if_exists=True)
    best, asking, asked = list[float](), 0.0, 0
    running: list[tuple[float, int, optuna.Trial, int]] = []
    free = [(0.0, ordinal) for ordinal in range(workers)]
    while len(best) < TRIALS:
        while free and asked < TRIALS:
            now, ordinal = free.pop(0)
            study.sampler, started = samplers[ordinal], time.perf_counter()
            trial = study.ask(space.distributions)
            asking, asked = asking + time.perf_counter() - started, asked + 1
            heapq.heappush(running, (now + draw.uniform(0.5, 1.5), asked, trial, ordinal))
        now, _, trial, ordinal = heapq.heappop(running)
        study.tell(trial, value(space.counts(trial.params)))
        best.append(study.best_value)
        free.append((now, ordinal))
    return {"best": best, "ask_ms": 1000 * asking / asked}


def _tpe(space: Space, liar: bool, seed: int) -> OptunaSampler:
    return OptunaSampler(TPESampler(seed=seed, multivariate=True, constant_liar=liar), space, seed)


def compared(
    search: Search, name: str, seeds_by_workers: Mapping[int, Sequence[int]], objective: Callable[[int], Objective]
) -> dict[str, Any]:
    """Both settings for each number of workers: best scores after `EARLY` and all trials, of each seed.

    Args:
        search: network and budget.
        name: of the file where finished runs are kept.
        seeds_by_workers: seeds by number of workers.
        objective: what candidates are scored by, for a seed.
    """
    file = WORK / f"liar-{name}.json"
    runs: dict[str, Any] = read_json(file) or {}
    for workers, seeds in seeds_by_workers.items():
        for seed in seeds:
            for setting, liar in SETTINGS.items():  # both in turn, so that ask_ms are of the same hour
                key = f"{workers} {setting} {seed}"
                if key not in runs:
                    run = simulated(search, objective(seed), workers, liar, seed)
                    best = run["best"]
                    assert isinstance(best, list)
                    runs[key] = {"early": best[EARLY - 1], "last": best[-1], "ask_ms": run["ask_ms"]}
                    write_json(file, runs)
    return {
        f"{workers}": {
            setting: {
                part: [round(runs[f"{workers} {setting} {seed}"][part], 5) for seed in seeds]
                for part in ("early", "last", "ask_ms")
            }
            for setting in SETTINGS
        }
        for workers, seeds in seeds_by_workers.items()
    }


def scored(search: Search, name: str) -> Callable[[int], Objective]:
    """Real scores, each computed once."""
    file = WORK / f"liar-{name}.scores.json"
    scores: dict[str, float] = read_json(file) or {}

    def value(counts: Ints) -> float:
        key = ",".join(map(str, counts))
        if key not in scores:
            scores[key] = search.scorer.score(counts).value
            write_json(file, scores)
        return scores[key]

    return lambda seed: value


def made_up(search: Search) -> Callable[[int], Objective]:
    """An objective for each seed."""
    widths = search.space.coupling.widths

    def objective(seed: int) -> Objective:
        draw = np.random.default_rng(seed)
        weights, powers = draw.lognormal(0, 1, len(widths)), draw.uniform(1, 3, len(widths))
        pairs = draw.exponential(1, (len(widths), len(widths))) * (draw.random((len(widths), len(widths))) < 0.2)

        def value(counts: Ints) -> float:
            removed = 1 - counts / widths
            return -float(weights @ removed**powers + removed @ pairs @ removed)

        return value

    return objective


def gains(found: dict[str, Any]) -> dict[str, Any]:
    """By number of workers: how much better it is with the liar, over all networks, rates and seeds."""
    table = {}
    for workers in SEEDS:
        for part in ("early", "last"):
            pairs = [
                on - off
                for of_network in found.values()
                if f"{workers}" in of_network
                for off, on in zip(
                    of_network[f"{workers}"]["off"][part], of_network[f"{workers}"]["on"][part], strict=True
                )
            ]
            if not pairs:
                continue
            table[f"{workers} workers, {part}"] = {
                "mean": round(statistics.mean(pairs), 5),
                "error": round(statistics.stdev(pairs) / len(pairs) ** 0.5, 5) if len(pairs) > 1 else None,
                "better": sum(pair > 0 for pair in pairs),
                "worse": sum(pair < 0 for pair in pairs),
                "pairs": len(pairs),
            }
    return table


def main() -> None:
    """Measure what is missing, and print the gains."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    network = digits(14)
    found: dict[str, Any] = {}
    for rate in RATES:
        search = search_of(network, rate)
        kinds = {"made-up": (MADE_UP, made_up(search))}
        if rate == RATES[0]:
            kinds["digits"] = SEEDS, scored(search, f"{DIGITS[0].replace(' ', '-')}-{rate}")
        for kind, (seeds, objective) in kinds.items():
            found[f"{kind} {rate:.0%}"] = compared(search, f"{kind}-{rate}", seeds, objective)
            table = {kind: gains({key: runs for key, runs in found.items() if key.startswith(kind)}) for kind in KINDS}
            print(rate, kind, json.dumps(table), flush=True)
            about = {"trials": {"early": EARLY, "last": TRIALS}, "versions": versions()}
            write_figures("liar", about | {"gains": table, "best": found})  # after every set: one takes minutes


if __name__ == "__main__":
    main()
