"""Device workers in processes of their own, without PyTorch, on a board that only they are on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.cli import ENVIRONMENT

ROOT = Path(__file__).parents[3]
BOARD = "a board in a laboratory"
PATIENCE_S = 90


def start(url: str, name: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A device worker of a name."""
    folder.mkdir(exist_ok=True)
    (folder / "cpuinfo").write_text(f"processor: 0\nmodel name\t: {BOARD}\n")
    words = ["-m", "tests.integration.latency.without_torch", str(folder / "cpuinfo"), "device", url, name, *options]
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=ENVIRONMENT | {"MENDSEARCH_CACHE": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def device_worker(url: str, name: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A device worker that runs within the scope, if nothing ends it before."""
    process = start(url, name, folder, *options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(found: Callable[[], object], limit_s: float = PATIENCE_S) -> None:
    """Wait until something is found."""
    deadline = time.monotonic() + limit_s
    while not found():
        assert time.monotonic() < deadline, "it was waited for in vain"
        time.sleep(0.05)
