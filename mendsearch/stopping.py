"""A process that is asked to stop by a signal, at any moment: in native code, in a destructor, in a callback.

What a signal handler raises is lost in a destructor or a weak reference's callback, and waits while native code runs.
So the handler raises nothing: the interpreter writes the signal's number to a socket, and a thread reads it there.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP") if hasattr(signal, name))
GRACE_S = 7.5
"""Seconds that a trial or a pass may go on once the process is asked to stop; then it is given back."""
ONE_S = 0.5
"""Signals within this time of the first count as one: systemd and a supervisor may both send it."""


class Stopping:
    """Whether the process is asked to stop, and what it has to finish before.

    Attributes:
        event: set once the process is asked to stop.
        number: number of the first signal, or None.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number: int | None = None
        self._lock = threading.Lock()
        self._grace_s = 0.0
        self._give_back: Callable[[int], None] = lambda number: None

    @contextmanager
    def finishing(self, grace_s: float, give_back: Callable[[int], None] = lambda number: None) -> Iterator[None]:
        """Within the scope, the process is given time to end by itself once it is asked to: it watches `event`.

        Outside of it a process may end at any moment, since its files are complete or not there.

        Args:
            grace_s: seconds that it is given.
            give_back: called with the signal's number if they are not enough. Its errors are ignored.
        """
        with self._lock:
            self._grace_s, self._give_back = grace_s, give_back
        try:
            yield
        finally:
            with self._lock:
                self._grace_s, self._give_back = 0.0, lambda number: None

    def ask(self, number: int, again: Callable[[float], int | None]) -> int:
        """Ask the process to stop, and wait for it as long as it may take.

        Args:
            number: number of the signal.
            again: waits for another signal for so many seconds; returns its number, or None.

        Returns:
            the number of the signal that ends the process, which has to end now; the lock is held.
        """
        self.number = number
        self.event.set()
        with self._lock:
            grace_s = self._grace_s
        second = None
        if grace_s:
            threading.Event().wait(ONE_S)
            while again(0.0) is not None:
                pass
            second = again(grace_s)
        self._lock.acquire()  # nothing may be begun any more
        if second is None:
            with suppress(Exception):
                self._give_back(number)
        return second or number


class Listener(threading.Thread):
    """Hears signals, and ends the process with 128 + n. Create it in the main thread.

    Args:
        stopping: what the process has to finish.
        say: prints a line for people, when the process ends here.
    """

    def __init__(self, stopping: Stopping, say: Callable[[], None]) -> None:
        super().__init__(name="signals", daemon=True)
        self._stopping, self._say = stopping, say
        self._heard, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, _nothing)

    def run(self) -> None:
        """Wait for the first signal, then see that the process ends."""
        number = self._next(None)
        assert number is not None
        ending = self._stopping.ask(number, self._next)
        with suppress(Exception):
            self._say()
        end(ending)

    def _next(self, limit_s: float | None) -> int | None:
        """The next signal that asks to stop, or None after so many seconds."""
        self._heard.settimeout(limit_s)
        try:
            while (number := self._heard.recv(1)[0]) not in NUMBERS:
                pass
        except (TimeoutError, BlockingIOError):
            return None
        return number


def end(number: int) -> None:
    """End this process and its children at once, with 128 + n."""
    with suppress(Exception):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.terminate()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(128 + number)


def _nothing(*_: object) -> None:
    """A handler of a signal that is heard elsewhere."""
