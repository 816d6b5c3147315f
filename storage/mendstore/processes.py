"""Names of processes that stay true when a process id is given out again."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Process:
    """One process of one machine.

    Attributes:
        host: name of the machine, or container.
        boot: what tells apart boots of the machine, spaces of process ids, and starts of a process with one id.
        pid: process id.
    """

    host: str
    boot: str
    pid: int


def this_process(pid: int | None = None) -> Process:
    """This process, or a running one of this machine."""
    pid = os.getpid() if pid is None else pid
    return Process(socket.gethostname(), f"{_machine()}:{psutil.Process(pid).create_time():.2f}", pid)


def surely_dead(process: Process) -> bool:
    """Whether the process was of this machine and has ended; False where that cannot be known from here."""
    machine, _, started = process.boot.rpartition(":")
    if process.host != socket.gethostname() or machine.partition("/")[2] != _machine().partition("/")[2]:
        return False
    if machine != _machine():  # the machine has been started anew
        return True
    try:
        found = psutil.Process(process.pid)
        return f"{found.create_time():.2f}" != started or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _machine() -> str:
    """This boot, and the space of process ids that this process sees."""
    boot = BOOT.read_text().strip() if BOOT.is_file() else f"{psutil.boot_time():.0f}"
    return f"{boot}/{os.readlink(PIDS) if PIDS.is_symlink() else ''}"
