"""Best score after 60, 200, 500 and 1,000 trials by sampler, on four networks at two rates. Resumable.

Three trainings of a digits network and one network on Fashion-MNIST; three seeds each. All samplers get the same
starting candidates. The scorer reads few images to keep the run short. A candidate that two samplers propose is scored
once.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.samplers import CmaEsSampler, GPSampler

import mendsearch.mending.scoring as scoring_module
import mendsearch.mending.weights as weights_module
from bench.files import WORK, read_figures, write_figures
from bench.networks import digits, parser, trained
from bench.staircase import improvements
from mendsearch.config import Budget
from mendsearch.files import read_json, write_json
from mendsearch.mending.random import random_structures
from mendsearch.mending.sampler import SAMPLERS, OptunaSampler, SpaceSampler, make_sampler
from mendsearch.mending.search import POWERS, Search, build_problem
from mendsearch.mending.space import Space
from mendsearch.models.resnet import cifar_resnet
from mendsearch.pipeline.export import versions

TAKES = "three hours on one core"
RATES = (0.4, 0.15)
SEEDS = (0, 1, 2)
MILESTONES = (60, 200, 500, 1000)
"""Trials after which the best scores are compared, as far as a search went."""
DIGITS = ("digits resnet14", "digits resnet14-b", "digits resnet14-c")
"""Trainings with different seeds: which sampler leads on a single one is chance."""
FASHION = "fashion resnet20"
CONTENDERS = (*SAMPLERS, "gp", "cmaes")
"""The last two are Optuna's too. They are no choice of a spec: see the page of results."""


def sampler_of(name: str, search: Search, seed: int) -> SpaceSampler:
    """A sampler by name."""
    if name == "gp":
        return OptunaSampler(GPSampler(seed=seed, n_startup_trials=len(search.starts)), search.space, seed)
    if name == "cmaes":
        return OptunaSampler(CmaEsSampler(seed=seed, n_startup_trials=len(search.starts)), search.space, seed)
    return make_sampler(name, search.space, search.curves, search.starts, seed)  # type: ignore[arg-type]


def search_of(network: Any, rate: float) -> Search:
    """A search that scores with 128 calibration and 400 validation images."""
    weights_module.TRIAL_IMAGES, scoring_module.TRIAL_IMAGES = 128, 400
    return network.search(rate)


def compare(search: Search, file: Path, trials: int, samplers: tuple[str, ...]) -> dict[str, Any]:
    """Best score after every trial, for each sampler and seed, and the scores of the starting candidates.

    Args:
        search: network, budget and scorer.
        file: where scores of candidates are kept.
        trials: number of trials of each search.
        samplers: their names.
    """
    cache: dict[str, float] = read_json(file) or {}

    def value(counts: np.ndarray) -> float:
        key = ",".join(map(str, counts))
        if key not in cache:
            cache[key] = search.scorer.score(counts).value
        return cache[key]

    found: dict[str, Any] = {
        "structures": {
            "uniform": value(search.uniform),
            "random, mean of 8": statistics.mean(map(value, random_structures(search.space, 8, seed=0))),
        }
        | {f"curves {power}": value(counts) for power, counts in zip(POWERS, search.starts[: len(POWERS)], strict=True)}
    }
    for name in samplers:
        found[name] = {"best": [], "ask_ms": []}
        for seed in SEEDS:
            sampler = sampler_of(name, search, seed)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            for counts in search.starts:
                study.enqueue_trial(search.space.params(counts), skip_if_exists=True)
            best, asking = [], 0.0
            for _ in range(trials):
                started = time.perf_counter()
                trial = study.ask(search.space.distributions)
                asking += time.perf_counter() - started
                study.tell(trial, value(search.space.counts(trial.params)))
                best.append(study.best_value)
            write_json(file, cache)
            print(name, seed, [best[n - 1] for n in reached(trials)], flush=True)
            found[name]["best"].append(best)
            found[name]["ask_ms"].append(1000 * asking / trials)
    return found


def thinned(run: dict[str, Any]) -> dict[str, Any]:
    """The runs of one network and rate; of each run only the trials that improved the best score."""
    names = [name for name in CONTENDERS if name in run]
    short = {"structures": run["structures"], "trials": len(run[names[0]]["best"][0])}
    for name in names:
        short[name] = {"best": [improvements(best) for best in run[name]["best"]], "ask_ms": run[name]["ask_ms"]}
    return short


def reached(trials: int) -> list[int]:
    """Milestones of a search of so many trials."""
    return [n for n in MILESTONES if n <= trials]


def ask_ms(trials: int, network: Any) -> float:
    """Milliseconds per proposal of the mending sampler after `trials` trials, with many coupling groups."""
    model = cifar_resnet(depth=110, in_channels=1).eval()
    problem = build_problem(model, network.calibration, Budget(macs=0.4))
    widths = problem.coupling.widths
    space = Space(np.maximum(1, widths // 8), problem.limits)
    curves = [np.linspace(1, 0, width + 1) ** 2 for width in widths]
    sampler = make_sampler("mending", space, [curves], [space.project(widths // 2)], 0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    generator = np.random.default_rng(0)
    base = random_structures(space, 40, seed=0)
    known = [np.clip(base[i % 40] + generator.integers(-2, 3, len(widths)), space.floor, widths) for i in range(trials)]
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=space.params(counts), distributions=space.distributions, value=-float(generator.random())
            )
            for counts in known
        ]
    )
    study.tell(study.ask(space.distributions), -1.0)  # reads the study once
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        trial = study.ask()
        sampler.sample_relative(study, study._storage.get_trial(trial._trial_id), space.distributions)
        taken.append(1000 * (time.perf_counter() - started))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    print(f"{len(widths)} coupling groups, {trials} trials: {statistics.median(taken):.1f} ms a proposal")
    return statistics.median(taken)


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--trials", type=int, default=200, help="trials of each search, 60 or more; finished searches are kept"
    )
    options.add_argument("--sampler", choices=CONTENDERS, action="append", help="all when not given")
    options.add_argument(
        "--network", choices=(*DIGITS, FASHION), action="append", help="all when not given; figures of others stay"
    )
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = tuple(arguments.sampler or CONTENDERS)
    chosen = arguments.network or (*DIGITS, FASHION)
    networks = {name: digits(14, seed) for seed, name in enumerate(DIGITS) if name in chosen}
    fashion = trained("resnet20", arguments.data)
    networks |= {FASHION: fashion} if FASHION in chosen else {}
    asking = {str(n): ask_ms(n, fashion) for n in (100, 1000, 10000)}
    known = read_figures("samplers") or {"summary": {}, "runs": {}}
    summary, runs = known["summary"], known["runs"]
    for name, network in networks.items():
        for rate in RATES:
            title = f"samplers-{name.replace(' ', '-')}-{rate}"
            file = WORK / f"{title}-{arguments.trials}-{'-'.join(samplers)}.json"
            found = read_json(file) or compare(
                search_of(network, rate), WORK / f"{title}.scores.json", arguments.trials, samplers
            )
            write_json(file, found)
            summary[f"{name} {rate:.0%}"] = {
                sampler: {
                    n: statistics.mean(best[n - 1] for best in found[sampler]["best"])
                    for n in reached(len(found[sampler]["best"][0]))
                }
                for sampler in CONTENDERS
                if sampler in found
            } | {"structures": found["structures"]}
            print(name, rate, summary[f"{name} {rate:.0%}"], flush=True)
            runs[f"{name} {rate:.0%}"] = thinned(found)
            result = {"versions": versions(), "summary": summary, "ask_ms": asking, "runs": runs}
            write_figures("samplers", result)  # after every set, since one takes minutes


if __name__ == "__main__":
    main()
