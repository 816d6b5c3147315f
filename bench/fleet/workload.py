"""Many worker processes at one study for a while: trials per second, and how long a claim takes."""

from __future__ import annotations

import multiprocessing
import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import mendstore
from bench.fleet.server import BenchServer
from bench.fleet.study import StockTrial, fresh, ours, proposal, result, stock_study

CONTEXT = multiprocessing.get_context("fork")
"""Fork: 64 interpreters that each import for seconds would measure the imports, not the database."""

JOIN_LIMIT_S = 240.0
Seen = tuple[float, float, float]
"""When a trial ended (`time.monotonic`), and the seconds of its claim (its share of a batch) and of its finish."""


@dataclass(frozen=True)
class Workload:
    """Workers and what they do.

    Attributes:
        side: `ours` or `stock`.
        workers: number of workers, each with its own connection.
        score_s: duration of a score, which is a sleep.
        window_s: seconds that are measured.
        threads: workers per process; more than one only where processes would not fit.
        batch: number of candidates that a worker claims at a time.
        warm_s: seconds before the measurement: the first statements of 64 new connections keep a server busy.
    """

    side: str
    workers: int
    score_s: float
    window_s: float = 30.0
    threads: int = 1
    batch: int = 1
    warm_s: float = 15.0


def watched(server: BenchServer, url: str, workload: Workload, spool: Path) -> dict[str, Any]:
    """Run a workload on a new study, and measure it.

    Args:
        server: server whose processes are measured.
        url: URL for the workers.
        workload: the workers.
        spool: folder for results while the database cannot be reached.
    """
    name = fresh(workload.side)
    if workload.side == "ours":
        ours(server, name, trials=10**7)
    else:
        made = stock_study(server.url, name, 0)
        made._storage.remove_session()
        made._storage._backend.engine.dispose()  # type: ignore[attr-defined]  # a child must not inherit connections
    stop, pipes, children = CONTEXT.Event(), list[Connection](), []
    for first in range(0, workload.workers, workload.threads):
        ours_end, theirs = CONTEXT.Pipe(duplex=False)
        child = CONTEXT.Process(target=_process, args=(workload, url, name, spool, first, stop, theirs))
        child.start()
        theirs.close()
        pipes.append(ours_end)
        children.append(child)
    try:
        _joined(server, workload, pipes)
        time.sleep(workload.warm_s)
        began, cpu = time.monotonic(), server.cpu_s()
        time.sleep(workload.window_s / 2)
        connections = len(server.backends())
        time.sleep(workload.window_s / 2)
        ended, later = time.monotonic(), server.cpu_s()
        stop.set()
        seen = [trial for pipe in pipes for trial in pipe.recv()]
    finally:
        stop.set()
        for child in children:
            child.join(60)
            if child.is_alive():
                child.kill()
    busy_s = sum(seconds - cpu.get(pid, 0.0) for pid, seconds in later.items())
    return _summary([trial for trial in seen if began < trial[0] <= ended], ended - began, connections, busy_s)


def _joined(server: BenchServer, workload: Workload, pipes: list[Connection]) -> None:
    """Wait until every worker has joined."""
    deadline = time.monotonic() + JOIN_LIMIT_S
    for pipe in pipes:
        if not pipe.poll(max(0.0, deadline - time.monotonic())):
            raise SystemExit(f"{workload}: a worker did not join within {JOIN_LIMIT_S:.0f} s")
        pipe.recv()


def _summary(seen: list[Seen], seconds: float, connections: int, busy_s: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "trials": len(seen),
        "trials_per_s": round(len(seen) / seconds, 2),
        "connections": connections,
        "server_cores_busy": round(busy_s / seconds, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    if len(seen) > 1:
        found["server_cpu_ms_a_trial"] = round(1000 * busy_s / len(seen), 2)
        found["trials_per_server_core_s"] = round(len(seen) / busy_s)
        for what, place in (("claim", 1), ("finish", 2)):
            cuts = statistics.quantiles([1000 * trial[place] for trial in seen], n=100, method="inclusive")
            found[what] = {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}
    return found


def _process(workload: Workload, url: str, name: str, spool: Path, first: int, stop: Event, told: Connection) -> None:
    """One process with its workers, each in a thread."""
    seen: list[Seen] = []
    joined = threading.Semaphore(0)
    work: Callable[..., None] = _ours if workload.side == "ours" else _stock
    count = min(workload.threads, workload.workers - first)
    threads = [
        threading.Thread(target=work, args=(workload, url, name, spool, first + place, stop, joined.release, seen))
        for place in range(count)
    ]
    for thread in threads:
        thread.start()
        joined.acquire()  # one after the other, as a supervisor starts them
    told.send("joined")
    stop.wait()
    for thread in threads:
        thread.join()
    told.send(seen)
    os._exit(0)


def _ours(
    workload: Workload,
    url: str,
    name: str,
    spool: Path,
    seed: int,
    stop: Event,
    joined: Callable[[], None],
    seen: list[Seen],
) -> None:
    database = mendstore.Database(url, outage_s=60)
    queue = mendstore.Queue(database, mendstore.find(database, name), "cpu", spool)
    heartbeat = mendstore.Heartbeat(queue, 3600)
    heartbeat.start()
    joined()
    source = random.Random(seed)
    while not stop.is_set():
        offer = [proposal(source) for _ in range(workload.batch)]
        began = time.monotonic()
        _, claims = queue.claim(offer)
        claimed_s = (time.monotonic() - began) / len(claims)
        for claim in claims:
            if workload.score_s and stop.wait(workload.score_s * source.uniform(0.9, 1.1)):
                break
            began = time.monotonic()
            queue.finish(result(claim, -source.random()))
            seen.append((time.monotonic(), claimed_s, time.monotonic() - began))
    heartbeat.close()
    queue.leave("finished")
    database.close()


def _stock(
    workload: Workload,
    url: str,
    name: str,
    spool: Path,
    seed: int,
    stop: Event,
    joined: Callable[[], None],
    seen: list[Seen],
) -> None:
    study, source = stock_study(url, name, seed), random.Random(seed)
    joined()
    while not stop.is_set():
        began = time.monotonic()
        trial = StockTrial(study)
        claimed_s = time.monotonic() - began
        if workload.score_s and stop.wait(workload.score_s * source.uniform(0.9, 1.1)):
            trial.finish(0.0)
            break
        began = time.monotonic()
        trial.finish(-source.random())
        seen.append((time.monotonic(), claimed_s, time.monotonic() - began))
