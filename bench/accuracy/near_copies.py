"""Whether proposals that are near copies of earlier candidates are worth their trials. Resumable.

The mending sampler as it is, and without its rule that a proposal lies apart from all earlier candidates. A near copy
is a candidate within a distance (`mendsearch.mending.distance`) of an earlier one. Networks and scores as in
`bench.accuracy.samplers`; three trainings of the digits network, two rates, three seeds.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import optuna
import torch

import mendsearch.mending.sampler as sampler_module
from bench.accuracy.samplers import DIGITS, RATES, SEEDS, search_of
from bench.files import WORK, kept, write_figures
from bench.networks import digits, parser
from mendsearch.files import read_json, write_json
from mendsearch.mending.distance import distances
from mendsearch.mending.sampler import apart_after, make_sampler
from mendsearch.mending.search import Search
from mendsearch.pipeline.export import versions

TAKES = "40 minutes on one core"
MILESTONES = (30, 60, 100, 200)
"""Trials after which the best scores are compared."""
NEAR = (0.01, 0.02, 0.05)
RULES = {"near copies allowed": lambda trials: 0.0, "apart": apart_after}
FOLDER = WORK / "near-copies"


class Scores:
    """Scores of the candidates of a search; one that two rules propose is scored once."""

    def __init__(self, title: str, search: Search) -> None:
        self._search, self._file = search, FOLDER / f"{title} scores.json"
        self._known: dict[str, float] = read_json(self._file) or {}

    def of(self, counts: np.ndarray) -> float:
        """Score of a candidate (G,)."""
        key = ",".join(map(str, counts))
        if key not in self._known:
            self._known[key] = self._search.scorer.score(counts).value
        return self._known[key]

    def save(self) -> None:
        """Keep them for the next run."""
        write_json(self._file, self._known)


def searched(search: Search, scores: Scores, rule: str, seed: int) -> dict[str, Any]:
    """One search: best scores at the milestones, and the part of its proposals within each distance of earlier ones."""
    sampler_module.apart_after = RULES[rule]
    space = search.space
    study = optuna.create_study(
        direction="maximize", sampler=make_sampler("mending", space, search.curves, search.starts, seed)
    )
    for counts in search.starts:
        study.enqueue_trial(space.params(counts), skip_if_exists=True)
    best, tried, gaps = [], [], []
    for _ in range(MILESTONES[-1]):
        trial = study.ask(space.distributions)
        counts = space.counts(trial.params)
        study.tell(trial, scores.of(counts))
        best.append(study.best_value)
        if len(tried) >= len(search.starts):
            gaps.append(distances(counts, np.array(tried)).min())
        tried.append(counts)
    scores.save()
    return {
        "best": {str(n): round(best[n - 1], 4) for n in MILESTONES},
        "near": {str(near): round(float(np.mean(np.array(gaps) < near)), 3) for near in NEAR},
    }


def cell(title: str, search: Search) -> dict[str, Any]:
    """Mean figures of one network at one rate, by rule, and the best scores of each seed."""
    scores, found = Scores(title, search), {}
    for rule in RULES:
        runs = [
            kept(FOLDER / f"{title} {rule} {seed}.json", partial(searched, search, scores, rule, seed))
            for seed in SEEDS
        ]
        means = {
            figure: {key: round(statistics.mean(run[figure][key] for run in runs), 4) for key in runs[0][figure]}
            for figure in ("best", "near")
        }
        found[rule] = means | {"seeds": [run["best"] for run in runs]}
    return found


def main() -> None:
    arguments = parser(__doc__).parse_args()
    torch.set_num_threads(arguments.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cells: dict[str, Any] = {}
    for seed, name in enumerate(DIGITS):
        network = digits(14, seed)
        for rate in RATES:
            title = f"{name} {rate:.0%}"
            cells[title] = cell(title, search_of(network, rate))
            print(title, {rule: found["best"] | found["near"] for rule, found in cells[title].items()}, flush=True)
            write_figures("near-copies", {"versions": versions(), "cells": cells})


if __name__ == "__main__":
    main()
