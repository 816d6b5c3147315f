"""Trials per second that one Postgres carries, and what carries more: batches, PgBouncer. Resumable; `--again` anew.

Nothing is scored, so workers ask as fast as they can: they claim one candidate at a time or in batches, over their own
connections or through PgBouncer (`storage/postgres/pgbouncer.ini`, with fewer connections). Stock Optuna is measured
directly and through its gRPC proxy, where `grpcio` and `protobuf` are installed. Last come 1,000 workers, each with its
connection to PgBouncer, its heartbeat and a score of 20 s, as threads of 8 processes: 1,000 interpreters would need
60 GB.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import psycopg2

from bench.files import ROOT, WORK, read_figures, write_figures
from bench.fleet.server import BenchServer, serving
from bench.fleet.workload import Workload, watched

TAKES = "15 minutes"
NAME = "fleet-limits"
FOLDER = WORK / "fleet-limits"
SHIPPED = ROOT / "storage" / "postgres" / "pgbouncer.ini"
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
POOL = 8
"""Connections from PgBouncer to Postgres: four per core."""

SHIPPED_DATABASE = "host=127.0.0.1 port=5432"
OWN = """
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/userlist.txt
default_pool_size = {pool}
reserve_pool_size = 0
"""
"""Appended to the last section: PgBouncer forgets a section when the section is opened a second time."""

CELLS: dict[str, tuple[Workload, str]] = {
    "16 workers": (Workload("ours", 16, 0.0), "direct"),
    "16 workers, claims of 4": (Workload("ours", 16, 0.0, batch=4), "direct"),
    "16 workers, claims of 16": (Workload("ours", 16, 0.0, batch=16), "direct"),
    "64 workers": (Workload("ours", 64, 0.0), "direct"),
    "64 workers, PgBouncer": (Workload("ours", 64, 0.0), "pgbouncer"),
    "64 workers, PgBouncer, claims of 16": (Workload("ours", 64, 0.0, batch=16), "pgbouncer"),
    "16 workers of stock": (Workload("stock", 16, 0.0), "direct"),
    "16 workers of stock, gRPC proxy": (Workload("stock", 16, 0.0), "grpc"),
    "1,000 workers, 20 s a score, PgBouncer": (
        Workload("ours", 1000, 20.0, 60.0, threads=125, warm_s=40.0),
        "pgbouncer",
    ),
}


@contextmanager
def pgbouncer(server: BenchServer) -> Iterator[str]:
    """Start PgBouncer in transaction mode in front of the server; yield its URL."""
    assert PGBOUNCER is not None
    port, folder = 16432, FOLDER / "pgbouncer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "userlist.txt").write_text('"postgres" ""\n')
    shipped = SHIPPED.read_text()
    assert SHIPPED_DATABASE in shipped
    own = OWN.format(port=port, folder=folder, pool=POOL)
    settings = shipped.replace(SHIPPED_DATABASE, f"host={server.socket.parent}") + own
    (folder / "own.ini").write_text(settings)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [PGBOUNCER, folder / "own.ini"], stdout=log, stderr=log, user=server.system_user, cwd=folder
        )
    try:
        _answers("127.0.0.1", port)
        yield server.through("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait(30)


def _answers(host: str, port: int) -> None:
    for _ in range(200):
        try:
            psycopg2.connect(host=host, port=port, user="postgres", dbname="mendsearch").close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.05)
    raise SystemExit("pgbouncer does not answer; its log is beside its settings")


@contextmanager
def grpc_proxy(server: BenchServer) -> Iterator[str]:
    """Start Optuna's gRPC proxy in front of the server; yield its address."""
    port = 16433
    code = (
        "import optuna, sys; url, port = sys.argv[1:]; "
        "optuna.storages.run_grpc_proxy_server(optuna.storages.RDBStorage(url), host='127.0.0.1', port=int(port))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(port)], stderr=subprocess.DEVNULL)
    time.sleep(10)
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def measured(server: BenchServer, workload: Workload, way: str) -> dict[str, Any]:
    """Figures of one workload, reached in one way."""
    spool = FOLDER / "spool"
    if way == "direct":
        return watched(server, server.url, workload, spool)
    with pgbouncer(server) if way == "pgbouncer" else grpc_proxy(server) as url:
        return watched(server, url, workload, spool)


def main() -> None:
    """Measure what is missing, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="discard earlier results")
    given = parser.parse_args()
    found = (None if given.again else read_figures(NAME)) or {"cells": {}}
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    there = {
        "direct": True,
        "pgbouncer": PGBOUNCER is not None,
        "grpc": importlib.util.find_spec("grpc") is not None,
    }
    with serving(FOLDER) as server:
        for name, (workload, way) in CELLS.items():
            if name in found["cells"] or not there[way]:
                continue
            found["machine"], found["pool"] = server.machine(), POOL
            found["cells"][name] = {"workload": asdict(workload), "way": way, **measured(server, workload, way)}
            write_figures(NAME, found)
            print(f"{name:40s} {found['cells'][name]}", flush=True)


if __name__ == "__main__":
    main()
