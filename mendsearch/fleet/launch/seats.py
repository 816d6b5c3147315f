"""The seats of a supervisor: a slot each, with the worker that is in it, or was, or is to be."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from mendsearch.fleet.launch.attempt import Attempt
from mendsearch.fleet.launch.slots import Slot


@dataclass(eq=False)
class Seat:
    """A slot and its worker: running (`attempt`), to be started at a time (`due`), or over with an exit code.

    Attributes:
        slot: the slot; of a worker that is being replaced, that of the next one.
        log: log file of its workers.
        attempt: the worker, while it runs.
        due: when one is to be started, by the monotonic clock; None if none is.
        code: exit code of the last worker.
        failures: failures in a row.
        proven: whether a worker of this seat once ran long enough.
        wanted: whether the seat stays when its worker has ended.
        asked: whether its worker is asked to end, so that another takes its place, or none.
    """

    slot: Slot
    log: Path
    attempt: Attempt | None = None
    due: float | None = 0.0
    code: int | None = None
    failures: int = 0
    proven: bool = False
    wanted: bool = True
    asked: bool = False

    @property
    def over(self) -> bool:
        """Whether no worker runs here, and none will."""
        return self.attempt is None and self.due is None

    def move_to(self, slot: Slot) -> None:
        """Have a worker in that slot: one that runs with another device or share of the cores is replaced."""
        changed, self.slot, self.wanted = slot != self.slot, slot, True
        if self.attempt is None:
            self.due, self.failures = time.monotonic(), 0
        elif changed:
            self._ask()

    def leave(self) -> None:
        """Have no worker here once this one has given back its work."""
        self.due, self.wanted = None, False
        if self.attempt is not None:
            self._ask()

    def _ask(self) -> None:
        """Ask the worker to end, once: a second signal would end it before it has given back its work."""
        assert self.attempt is not None
        if not self.asked:
            self.asked = True
            self.attempt.send(signal.SIGTERM)

    def __str__(self) -> str:
        return f"worker {self.slot.index} on {self.slot.device}"
