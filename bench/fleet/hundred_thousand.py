"""One study of 100,000 trials, ours and stock Optuna's: milliseconds of a trial, of `status` and of a page. Resumable.

Ours: one worker claims and finishes 100,000 trials of 37 parameters with heartbeat and lease. The last 1,000 before
each size are claimed one by one and timed, the others sixteen at a time. Stock: RDBStorage with heartbeats, as
`study.optimize` uses it. It runs from an empty study for `--stock-s` seconds, and then a few trials in studies that
were filled to each size. Nothing is scored, and proposals cost nothing. Status and pages are those of a synthetic
search of the same size with 64 workers. Client and server share core 0. `cpu_ms` is processor time of client and
server per trial.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mendstore
from bench.files import WORK, kept, read_figures, write_figures
from bench.fleet.dashboard import KINDS, OURS, alive, fetched, mb, serving
from bench.fleet.server import BenchServer
from bench.fleet.server import serving as postgres
from bench.fleet.study import StockTrial, fill, fresh, ours, proposal, result, stock_study
from bench.fleet.synthetic import Made, make_search

TAKES = "30 minutes"
NAME = "hundred-thousand"
FOLDER = WORK / NAME
TRIALS = 100_000
SIZES = (1_000, 10_000, 80_000, TRIALS)
STOCK_SIZES = (1_000, 10_000)
"""Sizes of stock Optuna's study, unless others are asked for: a process that joins reads all trials first."""

WINDOW = 1_000
"""Trials of ours over which times are taken, up to each size."""

BATCH = 16
STOCK_ROUNDS, STOCK_LIMIT_S = 40, 60.0
"""Trials of stock at each size after the first one; fewer, if that many would take longer than the limit."""

REPEATS = 3


def our_trials(server: BenchServer) -> dict[str, Any]:
    """Run the trials that are missing, and keep the times of each window in a file of its own."""
    database = mendstore.Database(server.url)
    try:
        search = mendstore.find(database, NAME)
    except mendstore.SearchNameError:
        search = ours(server, NAME, trials=TRIALS)
    source = random.Random(time.time_ns())
    done, _ = mendstore.progress(database, search.study_id)
    with mendstore.working(database, search, "cpu", FOLDER / "spool", 3600, threading.Event(), print) as (queue, _):
        for size in SIZES:
            while done < size - WINDOW:
                _, claims = queue.claim([proposal(source) for _ in range(min(BATCH, size - WINDOW - done))])
                for claim in claims:
                    queue.finish(result(claim, -source.random()))
                done += len(claims)
            if done < size:
                kept(FOLDER / f"ours-{size}.json", partial(_window, server, queue, source, size - done))
                done = size
    counted, _ = mendstore.progress(database, search.study_id)
    database.close()
    return {f"{size}": kept(FOLDER / f"ours-{size}.json", dict) for size in SIZES} | {"counted": counted}


def _window(server: BenchServer, queue: mendstore.Queue, source: random.Random, trials: int) -> dict[str, Any]:
    taken, cpu_ms = _with_cpu(server, lambda: _trial(queue, source), trials)
    claims, finishes = zip(*taken, strict=True)
    times = {"claim": _spread(claims), "finish": _spread(finishes), "both": _spread([sum(pair) for pair in taken])}
    return times | {"cpu_ms": cpu_ms}


def _with_cpu(server: BenchServer, trial: Callable[[], Any], trials: int) -> tuple[list[Any], float]:
    """What each trial returns, and the milliseconds of processor time per trial, of client and server together."""
    before, began = server.cpu_s(), time.process_time()
    taken = [trial() for _ in range(trials)]
    used = time.process_time() - began + sum(now - before.get(pid, 0.0) for pid, now in server.cpu_s().items())
    return taken, round(1000 * used / trials, 2)


def _trial(queue: mendstore.Queue, source: random.Random) -> tuple[float, float]:
    """Milliseconds of one claim and of its finish."""
    offer, began = [proposal(source)], time.perf_counter()
    _, (claim,) = queue.claim(offer)
    claimed = time.perf_counter()
    queue.finish(result(claim, -source.random()))
    return 1000 * (claimed - began), 1000 * (time.perf_counter() - claimed)


def stock_trials(server: BenchServer, seconds: float, sizes: Sequence[int]) -> dict[str, Any]:
    """As many trials as fit into the seconds, and a few in a study that is filled to each size."""
    found = {"from_empty": kept(FOLDER / "stock-empty.json", partial(_stock_from_empty, server, seconds))}
    for size in sizes:
        found[f"{size}"] = kept(FOLDER / f"stock-{size}.json", partial(_stock_at, server, size))
    return found


def _stock_from_empty(server: BenchServer, seconds: float) -> dict[str, Any]:
    study = stock_study(server.url, fresh("stock"), 0)
    taken, until = list[float](), time.monotonic() + seconds
    while time.monotonic() < until and len(taken) < TRIALS:
        taken.append(_stock_trial(study))
    return {"seconds": seconds, "trials": len(taken), "last_100": _spread(taken[-100:])}


def _stock_at(server: BenchServer, size: int) -> dict[str, Any]:
    name = f"{NAME}-stock"
    fill(server, stock_study(server.url, name, 0)._study_id, size)
    reopened = stock_study(server.url, name, 1)
    began = time.perf_counter()
    _stock_trial(reopened)
    first_s = time.perf_counter() - began
    rounds = max(2, min(STOCK_ROUNDS, round(STOCK_LIMIT_S / first_s)))
    few, cpu_ms = _with_cpu(server, partial(_stock_trial, reopened), rounds)
    return _spread(few) | {"cpu_ms": cpu_ms, "first_trial_s": round(first_s, 2), "trials": rounds}


def _stock_trial(study: Any) -> float:
    began = time.perf_counter()
    StockTrial(study).finish(-1.0)
    return 1000 * (time.perf_counter() - began)


def pages(server: BenchServer) -> dict[str, Any]:
    """Seconds of `status`, and of every page's first and later answers, at 100,000 trials."""
    made = make_search(server.url, fresh("pages"), trials=TRIALS + 2_000, done=TRIALS, workers=64, groups=37, lost=3)
    with alive(server.url, made):
        found: dict[str, Any] = {"status_s": [_status(server.url, made) for _ in range(REPEATS)]}
        with serving(*OURS, server.url, "--no-open") as (address, process):
            for kind, path in KINDS.items():
                found[kind] = _page(address, made, kind, path)
                print(f"{kind}: {found[kind]}", flush=True)
            found["memory_mb"] = mb(process)
    return found


def _status(url: str, made: Made) -> float:
    """Seconds of the whole command, with the start of Python."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mendsearch", "status", url, made.name], check=True, stdout=subprocess.DEVNULL
    )
    return round(time.perf_counter() - began, 2)


def _page(address: str, made: Made, kind: str, path: str) -> dict[str, Any]:
    first, first_s = fetched(f"{address}mend/{made.study_id}/{path}")
    again = []
    for _ in range(REPEATS):
        time.sleep(1.5)  # answers are kept for a second
        again.append(fetched(f"{address}mend/api/{made.study_id}/{kind}")[1])
    return {"first_s": first_s, "kb": round(len(first) / 1000), "update_s": again}


def _spread(values: Any) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"median_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stock-s", type=float, default=240.0, help="seconds for stock Optuna's study from empty")
    parser.add_argument("--stock-sizes", type=int, nargs="+", default=STOCK_SIZES, help="sizes of stock Optuna's study")
    given = parser.parse_args()
    os.sched_setaffinity(0, {0})
    found = read_figures(NAME) or {}
    with postgres(FOLDER) as server:
        found.setdefault("machine", server.machine())
        parts = {
            "ours": lambda: our_trials(server),
            "pages": lambda: pages(server),
            "stock": lambda: stock_trials(server, given.stock_s, given.stock_sizes),
        }
        for part, measure in parts.items():
            if part not in found:
                found[part] = measure() | {"load": round(os.getloadavg()[0], 1)}
                write_figures(NAME, found)
            print(part, found[part], flush=True)


if __name__ == "__main__":
    main()
