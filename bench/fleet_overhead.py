"""What a trial costs beside its scoring: `python bench/fleet_overhead.py`. Resumable; `--again` measures anew.

A trial is claimed, with 37 parameters, and recorded, with five attributes and its value; nothing is scored, and
proposals cost nothing on either side. Ours is `mendstore.Queue`. Stock is what `study.optimize` does with RDBStorage
and heartbeats: look for stale trials, ask, heartbeat, attributes, tell. Trials of both are taken in turn on one server,
in studies that hold 100, 1,000 and 10,000 trials; without a network between, and with 2 ms added to each round trip.
`cpu_ms` is processor time, of the client and of its server processes: a busy machine changes it little.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg2
from delay_proxy import proxied
from fleet_server import BenchServer, serving
from fleet_study import StockTrial, fill, fresh, ours, proposal, result, stock_study
from sqlalchemy.engine import make_url

import mendstore
from mendsearch.files import read_json, write_json

RESULTS = Path("bench/results/fleet-overhead.json")
WORK = Path("bench/work/fleet-overhead")
SIZES = (100, 1_000, 10_000)
DELAYS_MS = (0, 2)
ROUNDS = {0: 100, 2: 40}
"""Trials of each side, by delay."""

WARM_UP = 3


def measured(server: BenchServer, size: int, delay_ms: int) -> dict[str, Any]:
    """Milliseconds a trial of both sides, in turn."""
    search = ours(server, fresh(f"ours-{size}"), trials=10**6)
    fill(server, search.study_id, size)
    stock_name = fresh(f"stock-{size}")
    fill(server, stock_study(server.url, stock_name, 0)._study_id, size)
    with proxied(server.socket, delay_ms) if delay_ms else nullcontext() as proxy:
        url = server.url if proxy is None else server.through("127.0.0.1", proxy.port)
        database = mendstore.Database(url)
        queue = mendstore.Queue(database, search, "cpu", WORK / "spool")
        study, source = stock_study(url, stock_name, 1), random.Random(0)
        taken: dict[str, list[float]] = {"ours": [], "stock": [], "claim": [], "finish": []}
        cpu = {"ours": 0.0, "stock": 0.0}
        for round_ in range(ROUNDS[delay_ms] + WARM_UP):
            if round_ == WARM_UP:
                before = server.cpu_s()
            began = time.process_time()
            mine = _ours(queue, source)
            between = time.process_time()
            theirs = _timed(lambda: StockTrial(study).finish(-1.0))
            if round_ >= WARM_UP:
                cpu["ours"] += between - began
                cpu["stock"] += time.process_time() - between
                taken["claim"].append(mine[0])
                taken["finish"].append(mine[1])
                taken["ours"].append(sum(mine))
                taken["stock"].append(theirs)
        for pid, application in server.backends().items():
            side = "ours" if application == "mendsearch" else "stock"
            cpu[side] += server.cpu_s().get(pid, 0.0) - before.get(pid, 0.0)
        database.close()
        study._storage.remove_session()
        trip = _round_trip(url)
    found = {key: _spread(values) for key, values in taken.items()}
    for side, seconds in cpu.items():
        found[side]["cpu_ms"] = round(1000 * seconds / ROUNDS[delay_ms], 2)
    factor = found["stock"]["median_ms"] / found["ours"]["median_ms"]
    return {
        "round_trip_ms": trip,
        "load": round(os.getloadavg()[0], 1),
        "trials": ROUNDS[delay_ms],
        **found,
        "stock_over_ours": round(factor, 1),
    }


def _ours(queue: mendstore.Queue, source: random.Random) -> tuple[float, float]:
    offer, claims = [proposal(source)], list[mendstore.Claim]()
    claim = _timed(lambda: claims.extend(queue.claim(offer)[1]))
    return claim, _timed(lambda: queue.finish(result(claims[0], -1.0)))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _spread(values: list[float]) -> dict[str, Any]:
    low, _, high = statistics.quantiles(values, n=4)
    return {"median_ms": round(statistics.median(values), 2), "quartiles_ms": [round(low, 2), round(high, 2)]}


def _round_trip(url: str) -> float:
    """Median of SELECT 1, ms."""
    parsed = make_url(url)
    host, port = parsed.host or parsed.query["host"], parsed.port or 5432
    connection = psycopg2.connect(host=host, port=port, user="postgres", dbname="mendsearch")
    connection.autocommit = True
    with connection.cursor() as cursor:
        taken = [_timed(lambda: cursor.execute("SELECT 1")) for _ in range(100)]
    connection.close()
    return round(statistics.median(taken), 2)


def verdict(cells: dict[str, Any]) -> dict[str, Any]:
    """The goals of issue 5 against what was measured."""
    at = {name: cell["ours"]["median_ms"] for name, cell in cells.items()}
    return {
        "ours_at_1000_ms": at["1000 trials, 0 ms"],
        "growth_100_to_10000": round(at["10000 trials, 0 ms"] / at["100 trials, 0 ms"], 2),
        "stock_over_ours_with_delay": [cells[f"{size} trials, 2 ms"]["stock_over_ours"] for size in SIZES],
    }


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="forget what was measured")
    given = parser.parse_args()
    found = (None if given.again else read_json(RESULTS)) or {"cells": {}}
    with serving(WORK) as server:
        for delay_ms in DELAYS_MS:
            for size in SIZES:
                name = f"{size} trials, {delay_ms} ms"
                if name in found["cells"]:
                    continue
                found["machine"] = server.machine()
                found["cells"][name] = cell = measured(server, size, delay_ms)
                write_json(RESULTS, found)
                print(f"{name:20s} ours {cell['ours']} stock {cell['stock']} x{cell['stock_over_ours']}", flush=True)
    found["verdict"] = verdict(found["cells"])
    write_json(RESULTS, found)
    print(found["verdict"])


if __name__ == "__main__":
    main()
