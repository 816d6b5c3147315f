"""Workers as processes on this machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from mendsearch.fleet.launch.base import Backend
from mendsearch.fleet.launch.slots import Slot
from mendsearch.fleet.launch.supervisor import OnExit, Supervisor
from mendstore.urls import STORAGE_VARIABLE, without_password


class Local(Backend):
    """A supervisor and its workers.

    Args:
        command: command of a worker, without the URL.
        url: URL of the study database; passed in the environment, which other users cannot read.
        slots: slots for one worker each.
        log_dir: folder with one log file per worker.
        on_exit: callback; see `Supervisor`.
    """

    def __init__(
        self, command: Sequence[str], url: str, slots: Sequence[Slot], log_dir: Path, on_exit: OnExit | None = None
    ) -> None:
        self._command, self._url, self._slots, self._log_dir, self._on_exit = command, url, slots, log_dir, on_exit

    def rendered(self) -> str:
        """One shell command per worker, without the password."""
        lines = []
        for slot in self._slots:
            environment = {STORAGE_VARIABLE: without_password(self._url), **slot.environment}
            words = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
            lines.append(" ".join([*words, shlex.join(self._command)]))
        return "\n".join(lines)

    def launch(self, say: Callable[[str], None]) -> int:
        """Run the workers until all have ended."""
        environment = {**os.environ, STORAGE_VARIABLE: self._url}
        return Supervisor(self._command, environment, self._slots, self._log_dir, self._on_exit, say=say).run()
