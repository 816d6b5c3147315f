"""Milliseconds that a trial costs besides its scoring, ours and stock Optuna's. Resumable; `--again` measures anew.

A trial is claimed with 37 parameters, and recorded with five attributes and its value. Nothing is scored, and
proposals cost nothing on either side. Ours is `mendstore.Queue`. Stock is what `study.optimize` does with RDBStorage
and heartbeats: look for stale trials, ask, heartbeat, attributes, tell. Both sides take turns on one server, in studies
that hold 100, 1,000 and 10,000 trials, once without a network and once with 2 ms added to each round trip. `cpu_ms` is
processor time of the client and of its server processes: other work on the machine changes it little.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

import mendstore
from bench.files import WORK, read_figures, write_figures
from bench.fleet.delay_proxy import proxied
from bench.fleet.server import BenchServer, serving
from bench.fleet.study import StockTrial, fill, fresh, ours, proposal, result, stock_study

TAKES = "5 minutes"
NAME = "fleet-overhead"
FOLDER = WORK / "fleet-overhead"
SIZES = (100, 1_000, 10_000)
DELAYS_MS = (0, 2)
ROUNDS = {0: 100, 2: 40}
"""Trials of each side by delay in milliseconds."""

WARM_UP = 3


class Bench:
    """Both sides at one size: a queue of ours, a study of stock Optuna, and their times.

    Args:
        server: database of both.
        url: URL by which they are reached.
        size: number of trials that both hold.
    """

    def __init__(self, server: BenchServer, url: str, size: int) -> None:
        search = ours(server, fresh(f"ours-{size}"), trials=10**6)
        fill(server, search.study_id, size)
        stock_name = fresh(f"stock-{size}")
        fill(server, stock_study(server.url, stock_name, 0)._study_id, size)
        self._queue = mendstore.Queue(mendstore.Database(url), search, "cpu", FOLDER / "spool")
        self._study, self._source = stock_study(url, stock_name, 1), random.Random(0)
        self.taken: dict[str, list[float]] = {"ours": [], "stock": [], "claim": [], "finish": []}
        self.cpu_ms: dict[str, list[float]] = {"ours": [], "stock": []}

    def round(self, server: BenchServer) -> None:
        """Run one trial of each side."""
        for side in ("ours", "stock"):
            before, began = server.cpu_s(), time.process_time()
            if side == "ours":
                parts = _ours(self._queue, self._source)
                self.taken["claim"].append(parts[0])
                self.taken["finish"].append(parts[1])
                self.taken["ours"].append(sum(parts))
            else:
                self.taken["stock"].append(_timed(lambda: StockTrial(self._study).finish(-1.0)))
            client_s, after = time.process_time() - began, server.cpu_s()
            backends_s = sum(after[pid] - before.get(pid, 0.0) for pid in server.backends() if pid in after)
            self.cpu_ms[side].append(1000 * (client_s + backends_s))

    def summary(self) -> dict[str, Any]:
        """Medians and quartiles without the warm-up rounds."""
        found: dict[str, Any] = {key: _spread(values[WARM_UP:]) for key, values in self.taken.items()}
        for side, values in self.cpu_ms.items():
            found[side]["cpu_ms"] = round(statistics.median(values[WARM_UP:]), 2)
        return found | {"stock_over_ours": round(found["stock"]["median_ms"] / found["ours"]["median_ms"], 1)}


def measured(server: BenchServer, delay_ms: int) -> dict[str, Any]:
    """Figures of all sizes; sizes and sides take turns."""
    with proxied(server.socket, delay_ms) if delay_ms else nullcontext() as proxy:
        url = server.url if proxy is None else server.through("127.0.0.1", proxy.port)
        benches = {size: Bench(server, url, size) for size in SIZES}
        for _ in range(ROUNDS[delay_ms] + WARM_UP):
            for bench in benches.values():
                bench.round(server)
        common = {"round_trip_ms": _round_trip(url), "trials": ROUNDS[delay_ms], "load": round(os.getloadavg()[0], 1)}
    return {f"{size} trials, {delay_ms} ms": common | bench.summary() for size, bench in benches.items()}


def _ours(queue: mendstore.Queue, source: random.Random) -> tuple[float, float]:
    offer, claims = [proposal(source)], list[mendstore.Claim]()
    claim = _timed(lambda: claims.extend(queue.claim(offer)[1]))
    return claim, _timed(lambda: queue.finish(result(claims[0], -1.0)))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _spread(values: list[float]) -> dict[str, Any]:
    low, _, high = statistics.quantiles(values, n=4)
    return {"median_ms": round(statistics.median(values), 2), "quartiles_ms": [round(low, 2), round(high, 2)]}


def _round_trip(url: str) -> float:
    """Median milliseconds of SELECT 1."""
    parsed = make_url(url)
    host, port = parsed.host or parsed.query["host"], parsed.port or 5432
    connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="mendsearch")
    connection.autocommit = True
    with connection.cursor() as cursor:
        taken = [_timed(lambda: cursor.execute("SELECT 1")) for _ in range(100)]
    connection.close()
    return round(statistics.median(taken), 2)


def verdict(cells: dict[str, Any]) -> dict[str, Any]:
    """The figures that have a goal."""
    at = {name: cell["ours"]["median_ms"] for name, cell in cells.items()}
    return {
        "ours_at_1000_ms": at["1000 trials, 0 ms"],
        "growth_100_to_10000": round(at["10000 trials, 0 ms"] / at["100 trials, 0 ms"], 2),
        "stock_over_ours_with_delay": [cells[f"{size} trials, 2 ms"]["stock_over_ours"] for size in SIZES],
    }


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="discard earlier results")
    given = parser.parse_args()
    found = (None if given.again else read_figures(NAME)) or {"cells": {}}
    with serving(FOLDER) as server:
        for delay_ms in DELAYS_MS:
            if all(f"{size} trials, {delay_ms} ms" in found["cells"] for size in SIZES):
                continue
            found["machine"] = server.machine()
            found["cells"] |= (cells := measured(server, delay_ms))
            write_figures(NAME, found)
            for name, cell in cells.items():
                print(f"{name:20s} ours {cell['ours']} stock {cell['stock']} x{cell['stock_over_ours']}", flush=True)
    found["verdict"] = verdict(found["cells"])
    write_figures(NAME, found)
    print(found["verdict"])


if __name__ == "__main__":
    main()
