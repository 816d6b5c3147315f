"""Trials per second and claim latency of 64 workers at one study, ours and stock Optuna's. Resumable; `--again` anew.

Scoring is a sleep of half a second, or nothing. Each worker is a process with its own connection, 37 parameters and
five attributes per trial, and heartbeats on both sides. The server allows 300 connections: Postgres's default of 100 is
too small for stock, which takes up to two per worker. Without a network, and with 2 ms added to each round trip.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from bench.files import WORK, read_figures, write_figures
from bench.fleet.delay_proxy import proxied
from bench.fleet.server import serving
from bench.fleet.workload import Workload, watched

TAKES = "8 minutes"
NAME = "fleet-throughput"
FOLDER = WORK / "fleet-throughput"
WORKERS = 64
CELLS = ((0.5, 0), (0.0, 0), (0.5, 2))
"""Seconds per score, and milliseconds added to a round trip."""


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="discard earlier results")
    given = parser.parse_args()
    found = (None if given.again else read_figures(NAME)) or {"cells": {}}
    with serving(FOLDER) as server:
        for score_s, delay_ms in CELLS:
            for side in ("ours", "stock"):
                name = f"{side}, score {score_s} s, {delay_ms} ms"
                if name in found["cells"]:
                    continue
                found["machine"] = server.machine()
                with proxied(server.socket, delay_ms) if delay_ms else nullcontext() as proxy:
                    url = server.url if proxy is None else server.through("127.0.0.1", proxy.port)
                    cell = watched(server, url, Workload(side, WORKERS, score_s), FOLDER / "spool")
                found["cells"][name] = cell
                write_figures(NAME, found)
                print(f"{name:30s} {cell}", flush=True)


if __name__ == "__main__":
    main()
