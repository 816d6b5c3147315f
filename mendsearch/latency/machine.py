"""What times on this machine depend on, without PyTorch."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

Pass = Callable[[], None]
"""Runs one forward pass, and returns when its outputs are there."""

CPU_INFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
"""Name of a board, where there is one: its CPU has none in `CPU_INFO`."""


class Machine(Protocol):
    """A program that runs networks on this machine, as it is seen by who measures."""

    threads: int

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU that computes."""

    def running(self) -> AbstractContextManager[None]:
        """A scope in which passes are timed."""


def cpu_name() -> str:
    """The CPU as its maker calls it, or the board that it is on, or what Python knows of it."""
    named = (line.partition(":")[2].strip() for line in _text(CPU_INFO).splitlines() if line.startswith("model name"))
    return next(named, "") or _text(BOARD).strip("\0\n ") or platform.processor() or platform.machine()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
