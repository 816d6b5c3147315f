"""64 worker processes at one study, ours and stock: `python bench/fleet_throughput.py`. Resumable; `--again` anew.

Scoring is a sleep of half a second, or none. Each worker is a process with a connection of its own, 37 parameters and
five attributes a trial, heartbeats on both sides. The server lets 300 connect: Postgres's own limit of 100 is too small
for stock, which takes up to two a worker. Without a network between, and with 2 ms added to each round trip.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from delay_proxy import proxied
from fleet_crew import Crew, watched
from fleet_server import serving

from mendsearch.files import read_json, write_json

RESULTS = Path("bench/results/fleet-throughput.json")
WORK = Path("bench/work/fleet-throughput")
WORKERS = 64
CELLS = ((0.5, 0), (0.0, 0), (0.5, 2))
"""Seconds that a score takes, and milliseconds added to a round trip."""


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="forget what was measured")
    given = parser.parse_args()
    found = (None if given.again else read_json(RESULTS)) or {"cells": {}}
    with serving(WORK) as server:
        for score_s, delay_ms in CELLS:
            for side in ("ours", "stock"):
                name = f"{side}, score {score_s} s, {delay_ms} ms"
                if name in found["cells"]:
                    continue
                found["machine"] = server.machine()
                with proxied(server.socket, delay_ms) if delay_ms else nullcontext() as proxy:
                    url = server.url if proxy is None else server.through("127.0.0.1", proxy.port)
                    cell = watched(server, url, Crew(side, WORKERS, score_s), WORK / "spool")
                found["cells"][name] = cell
                write_json(RESULTS, found)
                print(f"{name:30s} {cell}", flush=True)


if __name__ == "__main__":
    main()
