"""Milliseconds of one trial, step by step. Nothing is trained: weights do not matter."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import torch

import mendstore
from bench.files import WORK, write_figures
from bench.rows import forget
from mendsearch.config import Spec, load_spec
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.search import Search
from mendsearch.pipeline.demo import SPEC
from mendsearch.pipeline.export import versions
from mendsearch.pipeline.folder import RunFolder
from mendsearch.pipeline.inputs import read_inputs
from mendsearch.pipeline.preparation import rank
from mendsearch.pipeline.run import Run
from mendsearch.progress import Reporter
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_in_database

TAKES = "2 minutes"
TRIALS = 40


def measure(spec: Spec, url: str) -> dict[str, Any]:
    """Milliseconds per trial, over `TRIALS` trials of a study in Postgres."""
    inputs = read_inputs(spec)
    problem, splits = inputs.problem, inputs.splits
    with tempfile.TemporaryDirectory() as folder:
        search = rank(Run(spec, inputs, RunFolder(Path(folder)), url, Reporter(quiet=True)))
    search.scorer.score(search.uniform)  # the first pass warms PyTorch up
    steps = search.scorer.weights.timings.seconds
    before = dict(steps)
    forget(url, spec.name)
    started = time.perf_counter()
    mend = spec.mend.model_copy(update={"trials": TRIALS})
    # the trials alone: `run_study` would also refine the best few
    study = run_in_database(search, mend, Registration(url, spec.name), 0, Reporter(quiet=True))
    total = time.perf_counter() - started
    taken = {step: 1000 * (steps[step] - before[step]) / TRIALS for step in steps}
    taken["propose and project"] = _proposing(study, search, spec)
    taken["storage and the rest"] = 1000 * total / TRIALS - sum(taken.values())
    return {
        "coupling_groups": len(problem.coupling.groups),
        "images": {"calibration": len(splits.calibration), "validation": len(splits.validation[0])},
        "milliseconds": {step: round(value, 2) for step, value in taken.items()},
        "trial": round(1000 * total / TRIALS, 2),
    }


def _proposing(study: optuna.Study, search: Search, spec: Spec) -> float:
    """Milliseconds per proposal with the trials in memory: the sampler alone."""
    copy = optuna.create_study(
        direction="maximize", sampler=make_sampler(spec.mend.sampler, search.space, search.curves, search.starts, 1)
    )
    copy.add_trials(study.get_trials())
    started = time.perf_counter()
    for _ in range(10):
        trial = copy.ask()
        copy.sampler.sample_relative(copy, copy._storage.get_trial(trial._trial_id), search.space.distributions)
    return 100 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = mendstore.EmbeddedServer(WORK / ".mendsearch").start()
    found = {}
    fashion = (Path("examples/fashion-mnist.toml"), (f'data.path="{arguments.data}"',))
    for example, (path, keys) in {"digits": (SPEC, ()), "fashion-mnist": fashion}.items():
        spec = load_spec(path, ('name="trial-cost"', *keys))
        found[example] = measure(spec, url)
        print(example, found[example])
    machine = {"threads": torch.get_num_threads(), "device": "cuda" if torch.cuda.is_available() else "cpu"}
    write_figures("trial-cost", {"machine": machine, "versions": versions(), "trial": found})


if __name__ == "__main__":
    main()
