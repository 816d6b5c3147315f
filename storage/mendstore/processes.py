"""Identity of processes that survives the reuse of process ids."""

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
    """A process on a machine.

    Attributes:
        host: name of the machine, or container.
        boot: identifier of the machine's boot, the namespace of process ids, and the start of the process.
        pid: process id.
    """

    host: str
    boot: str
    pid: int


def this_process(pid: int | None = None) -> Process:
    """This process, or a running one on this machine."""
    pid = os.getpid() if pid is None else pid
    return Process(socket.gethostname(), f"{_machine()}:{psutil.Process(pid).create_time():.2f}", pid)


def surely_dead(process: Process) -> bool:
    """Whether the process ran on this machine and has ended; False if that cannot be known from here."""
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
    """Identifier of this boot and of the namespace of process ids."""
    boot = BOOT.read_text().strip() if BOOT.is_file() else f"{psutil.boot_time():.0f}"
    return f"{boot}/{os.readlink(PIDS) if PIDS.is_symlink() else ''}"
