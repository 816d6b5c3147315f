"""Time, size and memory of the dashboard and of stock optuna-dashboard at 10,000 trials of 64 workers.

A real browser opens every page. The search is synthetic, inserted in bulk into a Postgres of its own
(`bench.fleet.synthetic`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from playwright.sync_api import Browser, sync_playwright

import mendstore
from bench.files import write_figures
from bench.fleet.synthetic import Made, finish_more, make_search

TAKES = "5 minutes"
TRIALS, WORKERS, GROUPS, REPEATS = 10_000, 64, 37, 5
VIEWERS, VIEWED_S = 10, 20
SLIM = "import sys; sys.modules.update(dict.fromkeys(['torch', 'sklearn', 'scipy'])); "
"""Start of both servers' code: the dashboard's container image does not have the extra `torch`."""
OURS = [sys.executable, "-c", SLIM + "from mendsearch.cli import app; app()", "dashboard"]
WHOLE = [sys.executable, "-m", "mendsearch", "dashboard"]
STOCK = [sys.executable, "-c", SLIM + "from optuna_dashboard._cli import main; main()"]
KINDS = {"search": "", "network": "network", "front": "front", "fleet": "fleet", "trial": "trial"}
SEEN = "UPDATE mend_workers SET seen_at = now() WHERE study_id = :study AND ended_at IS NULL"
RENEWED = """UPDATE mend_items SET expires_at = now() + interval '55 s', leased_at = now() - interval '7 s'
             WHERE study_id = :study AND state = 'leased'"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SENT = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"


@contextmanager
def serving(*command: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server process; yield its address and the process."""
    port = 8471
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(address + "favicon.ico", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def mb(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 1e6, 1)


def peak_mb(process: psutil.Process) -> float:
    """Peak memory of the process."""
    line = next(row for row in Path(f"/proc/{process.pid}/status").read_text().splitlines() if row.startswith("VmHWM"))
    return round(1024 * int(line.split()[1]) / 1e6, 1)


def fetched(address: str) -> tuple[bytes, float]:
    begun = time.perf_counter()
    with urllib.request.urlopen(address, timeout=120) as answer:
        body = answer.read()
    return body, round(time.perf_counter() - begun, 3)


@contextmanager
def alive(url: str, made: Made) -> Iterator[None]:
    """Renew the leases of the synthetic workers, so that the search stays alive."""
    stop_event = threading.Event()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def renew() -> None:
        while not stop_event.wait(5):
            with engine.connect() as connection:
                values = {"study": made.study_id}
                connection.execute(sa.text(SEEN), values)
                connection.execute(sa.text(RENEWED), values)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        stop_event.set()
        thread.join()
        engine.dispose()


def opened(browser: Browser, address: str) -> dict[str, float]:
    """First paint, first figure and bytes sent on a first visit."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".main-svg")
    drawn = time.perf_counter() - begun
    found = {
        "first_paint_s": round(page.evaluate(PAINT) / 1000, 3),
        "first_figure_s": round(drawn, 3),
        "sent_kb": round(page.evaluate(f"{SENT}.reduce((sum, entry) => sum + entry.transferSize, 0)") / 1000, 1),
    }
    context.close()
    return found


def pages(browser: Browser, address: str, made: Made, url: str) -> dict[str, Any]:
    """For every page: first visits, the size of a full update, and of the updates while the search runs."""
    rows = {}
    for kind, path in KINDS.items():
        visits = [opened(browser, f"{address}mend/{made.study_id}/{path}") for _ in range(REPEATS)]
        row = {key: statistics.median(visit[key] for visit in visits) for key in visits[0]}
        row["first_paint_worst_s"] = max(visit["first_paint_s"] for visit in visits)
        api = f"{address}mend/api/{made.study_id}/{kind}"
        time.sleep(1.1)
        whole, row["update_s"] = fetched(api)
        body = json.loads(whole)
        have = ",".join(part["hash"] for part in [*body["parts"].values(), *body["figures"].values()])
        finish_more(url, made, 1)
        time.sleep(1.1)
        update, _ = fetched(f"{api}?have={have}")
        row |= {
            "update_largest_kb": len(whole) / 1000,
            "update_kb": len(update) / 1000,
            "update_gzip_kb": len(gzip.compress(update, 3)) / 1000,
        }
        rows[kind] = {key: round(value, 3) for key, value in row.items()}
        print(kind, rows[kind], file=sys.stderr)
    return rows


def watched(address: str, made: Made) -> dict[str, float]:
    """Seconds per answer while several viewers ask every two seconds, as pages do."""
    taken: list[float] = []

    def view(kind: str) -> None:
        until = time.monotonic() + VIEWED_S
        while time.monotonic() < until:
            taken.append(fetched(f"{address}mend/api/{made.study_id}/{kind}")[1])
            time.sleep(2)

    threads = [threading.Thread(target=view, args=(list(KINDS)[index % len(KINDS)],)) for index in range(VIEWERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "viewers": VIEWERS,
        "answers": len(taken),
        "p50_s": statistics.median(taken),
        "p99_s": sorted(taken)[int(0.99 * len(taken))],
    }


def studied(address: str, process: psutil.Process, made: Made) -> dict[str, float]:
    """Seconds, size and memory when Optuna Dashboard opens the study twice."""
    body, seconds = fetched(f"{address}api/studies/{made.study_id}")
    _, later = fetched(f"{address}api/studies/{made.study_id}")
    sizes = {"mb": len(body) / 1e6, "gzip_mb": len(gzip.compress(body, 1)) / 1e6}
    return {"s": seconds, "again_s": later, "memory_mb": mb(process), "peak_mb": peak_mb(process), **sizes}


def measure(browser: Browser, url: str) -> dict[str, Any]:
    made = make_search(url, "big", trials=TRIALS + 2000, done=TRIALS, workers=WORKERS, groups=GROUPS, lost=3)
    found: dict[str, Any] = {"trials": TRIALS, "workers": WORKERS, "coupling_groups": GROUPS, "cores": os.cpu_count()}
    with alive(url, made):
        with serving(*OURS, url, "--no-open") as (address, process):
            found["memory_at_start_mb"] = mb(process)
            found["pages"] = pages(browser, address, made, url)
            found["watched"] = watched(address, made)
            report, seconds = fetched(f"{address}mend/{made.study_id}/report")
            found["report"] = {"mb": round(len(report) / 1e6, 2), "s": seconds}
            found["memory_our_pages_mb"] = mb(process)
            found["optuna_dashboard_inside"] = studied(address, process, made)
        with serving(*WHOLE, url, "--no-open") as (address, process):
            found["with_the_extra_torch"] = {"memory_at_start_mb": mb(process), "watched": watched(address, made)}
            found["with_the_extra_torch"] |= {"memory_our_pages_mb": mb(process), **studied(address, process, made)}
        with serving(*STOCK, url, "--server", "wsgiref") as (address, process):
            found["stock"] = studied(address, process, made)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = mendstore.EmbeddedServer(Path(folder) / ".mendsearch")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            found = measure(browser, server.start())
        finally:
            browser.close()
            server.stop()
    write_figures("dashboard", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
