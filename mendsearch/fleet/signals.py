"""Signals that ask a worker to end: Ctrl-C, SIGTERM of a supervisor, SIGUSR1 as Slurm's early warning."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
GRACE_S = 7.5
"""How long a trial may go on after the first signal; then it is given back, and the process ends."""
ONE_S = 0.5
"""Signals within so long of the first are one order: systemd and a supervisor may both send it."""


class Signals(threading.Thread):
    """Waits for signals in a thread of its own, since the main thread may be deep in native code for long.

    The first one sets `ended`, so that the worker ends after its trial; when that takes too long, `give_back` is called
    and the process ends with 128+n. A second one ends the process at once. To be made in the main thread before any
    other thread starts: all of them leave the signals to this one.

    Args:
        ended: set by the first signal.
        give_back: called with its number where the trial takes too long; what it raises is ignored, since the claim
            runs out by itself.

    Attributes:
        number: of the first signal, or None.
    """

    def __init__(self, ended: threading.Event, give_back: Callable[[int], None]) -> None:
        super().__init__(name="signals", daemon=True)
        self._ended, self._give_back = ended, give_back
        self.number: int | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)

    def run(self) -> None:
        """Until the first signal, and then until the end."""
        self.number = signal.sigwait(NUMBERS)
        self._ended.set()
        time.sleep(ONE_S)
        while signal.sigpending() & set(NUMBERS):  # the same order once more, from a service manager
            signal.sigwait(NUMBERS)
        second = signal.sigtimedwait(NUMBERS, GRACE_S)
        if second is not None:
            os._exit(128 + second.si_signo)
        try:
            self._give_back(self.number)
        finally:
            os._exit(128 + self.number)
