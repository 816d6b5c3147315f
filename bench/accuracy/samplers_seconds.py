"""Best score at equal seconds by sampler: those in which `mending` scores 60 to 2,000 candidates. Resumable.

A sampler is charged the processor time of its proposals as measured, and for each candidate the median time of scoring
one, so that other work on the machine changes nothing. A search ends when its seconds are spent: who proposes slowly
scores fewer candidates. Otherwise as `bench.accuracy.samplers`.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import optuna
import torch

from bench.accuracy.samplers import DIGITS, search_of
from bench.accuracy.samplers import sampler_of as made
from bench.files import WORK, kept, read_figures, write_figures
from bench.networks import digits, parser
from bench.staircase import improvements
from mendsearch.files import read_json, write_json
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import Search
from mendsearch.pipeline.export import versions

TAKES = "2 hours on one core"
RATES = (0.15, 0.4)
SEEDS = (0, 1, 2)
LOOKS = (60, 200, 500, 1000, 2000)
CONTENDERS = ("mending", "tpe", "gp", "cmaes")
FOLDER = WORK / "samplers-seconds"


class Contest:
    """Searches of one network at one fraction of its dense MACs.

    Args:
        title: of the network and the fraction.
        search: the search; its scores are kept, so that one candidate is scored once.
        looks: candidates of the longest search, if proposals were free.
    """

    def __init__(self, title: str, search: Search, looks: int) -> None:
        self.title, self._search = title, search
        self._file = FOLDER / f"{title}.scores.json"
        self._scores: dict[str, float] = read_json(self._file) or {}
        self.look = float(kept(FOLDER / f"{title}.look.json", self._seconds))
        self.seconds = looks * self.look

    def _seconds(self) -> float:
        """Median processor seconds of scoring a candidate."""
        taken = []
        for counts in random_structures(self._search.space, 20, seed=0):
            started = time.process_time()
            self._search.scorer.score(counts)
            taken.append(time.process_time() - started)
        return statistics.median(taken)

    def score(self, counts: np.ndarray) -> float:
        """Of a candidate."""
        key = ",".join(map(str, counts))
        if key not in self._scores:
            self._scores[key] = self._search.scorer.score(counts).value
            if len(self._scores) % 100 == 0:
                write_json(self._file, self._scores)
        return self._scores[key]

    def run(self, name: str, seed: int) -> dict[str, list[float]]:
        """Best score and seconds after every candidate of one search."""
        search, space = self._search, self._search.space
        study = optuna.create_study(direction="maximize", sampler=made(name, search, seed))
        for counts in search.starts:
            study.enqueue_trial(space.params(counts), skip_if_exists=True)
        best: list[float] = []
        seconds: list[float] = []
        spent = 0.0
        while spent + self.look <= self.seconds:
            started = time.process_time()
            trial = study.ask(space.distributions)
            proposed = time.process_time()
            value = self.score(space.counts(trial.params))
            scored = time.process_time()
            study.tell(trial, value)
            spent += self.look + (proposed - started) + (time.process_time() - scored)
            best.append(max([value, *best[-1:]]))
            seconds.append(round(spent, 2))
        write_json(self._file, self._scores)
        return {"best": best, "seconds": seconds}


def at(run: dict[str, list[float]], seconds: float) -> float:
    """Best score of a search when so many seconds were spent."""
    return run["best"][max(0, int(np.searchsorted(run["seconds"], seconds, side="right")) - 1)]


def cell(contest: Contest, names: tuple[str, ...], seeds: int, looks: int) -> dict[str, Any]:
    """All samplers and seeds, seed by seed: figures by sampler at the seconds of each number of candidates."""
    runs: dict[str, list[dict[str, list[float]]]] = {name: [] for name in names}
    for seed in SEEDS[:seeds]:
        for name in names:
            file = FOLDER / f"{contest.title} {name} {seed} {looks}.json"
            runs[name].append(read_json(file) or contest.run(name, seed))
            write_json(file, runs[name][-1])
            print(contest.title, name, seed, *row(contest, runs[name][-1:], looks).values(), flush=True)
    rows = {
        name: {
            "best": row(contest, found, looks),
            "candidates": [len(run["best"]) for run in found],
            "runs": [improvements(run["best"]) for run in found],
        }
        for name, found in runs.items()
    }
    return {"seconds of a candidate": round(contest.look, 4), "rows": rows}


def row(contest: Contest, runs: list[dict[str, list[float]]], looks: int) -> dict[str, float]:
    """Mean best score of some searches, at the seconds of each number of candidates."""
    return {str(n): round(statistics.mean(at(run, n * contest.look) for run in runs), 4) for n in LOOKS if n <= looks}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--network", choices=DIGITS, action="append", help="default: all; figures of others stay")
    options.add_argument("--rate", type=float, choices=RATES, action="append", help="default: both")
    options.add_argument("--looks", type=int, default=LOOKS[-1], help="candidates of the longest search")
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cells = (read_figures("samplers-seconds") or {"cells": {}})["cells"]
    for name in given.network or DIGITS:
        network = digits(14, DIGITS.index(name))
        for rate in given.rate or RATES:
            title = f"{name} {rate:.0%}"
            contest = Contest(title, search_of(network, rate), given.looks)
            cells[title] = cell(contest, CONTENDERS, given.seeds, given.looks)
            write_figures("samplers-seconds", {"versions": versions(), "cells": cells})


if __name__ == "__main__":
    main()
