"""Signals that ask a worker to stop: Ctrl-C, SIGTERM from a supervisor, SIGUSR1 as Slurm's early warning."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
GRACE_S = 7.5
"""Seconds that a trial may go on after the first signal; then it is given back, and the process ends."""
ONE_S = 0.5
"""Signals within this time of the first count as one: systemd and a supervisor may both send it."""


class Signals(threading.Thread):
    """Waits for signals in its own thread, since the main thread may spend a long time in native code.

    The first signal n sets `stop_event`, so that the worker stops after its trial; if that takes too long, `give_back`
    is called and the process ends with 128 + n. A second signal ends the process at once. Create it in the main thread
    before any other thread starts, so that all threads leave the signals to this one.

    Args:
        stop_event: event that the first signal sets.
        give_back: function called with the signal number if the trial takes too long. Its errors are ignored, since the
            lease expires by itself.

    Attributes:
        number: number of the first signal, or None.
    """

    def __init__(self, stop_event: threading.Event, give_back: Callable[[int], None]) -> None:
        super().__init__(name="signals", daemon=True)
        self._stop_event, self._give_back = stop_event, give_back
        self.number: int | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)

    def run(self) -> None:
        """Wait for the first signal, then end the process if it does not end by itself."""
        self.number = signal.sigwait(NUMBERS)
        self._stop_event.set()
        time.sleep(ONE_S)
        while signal.sigpending() & set(NUMBERS):  # the same signal once more, from a service manager
            signal.sigwait(NUMBERS)
        second = signal.sigtimedwait(NUMBERS, GRACE_S)
        if second is not None:
            os._exit(128 + second.si_signo)
        try:
            self._give_back(self.number)
        finally:
            os._exit(128 + self.number)
