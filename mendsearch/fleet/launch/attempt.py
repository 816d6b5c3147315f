"""One process of a worker, from its start to its end, and its output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mendsearch.fleet.launch import tether

TAIL_BYTES = 4000
TAIL_LINES = 20


class Attempt:
    """A process that ends with this one, in its own process group, with its output appended to a log file.

    It has its own group so that Ctrl-C in a terminal reaches only the supervisor, which passes it on: a second signal
    would end a worker at once.

    Args:
        command: command to run.
        environment: complete environment of the process.
        log: log file, appended to.
        title: line written to the log before any output.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, title: str) -> None:
        self._log = log
        self._started = time.monotonic()
        with open(log, "ab") as file:
            file.write(f"=== {time.strftime('%Y-%m-%d %H:%M:%S')} {title}\n".encode())
            file.flush()
            self._offset = file.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Process id, of the command too: `tether` becomes the command."""
        return self._process.pid

    @property
    def lasted_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def poll(self) -> int | None:
        """Exit code once it has ended, or None; -n if signal n ended it."""
        return self._process.poll()

    def send(self, number: int) -> None:
        """Send it a signal, if it is alive."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and every process that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def tail(self) -> str:
        """The last lines of its output."""
        with open(self._log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._offset, end - TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-TAIL_LINES:])
