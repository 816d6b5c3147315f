"""The heartbeat of a worker: a thread that renews its leases, and ends the process if a candidate hangs."""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mendstore.database import Database
from mendstore.errors import StorageError
from mendstore.queries.registered import Registered
from mendstore.queue import Queue

HUNG = 4
"""Exit code of a worker that was ended because a candidate hung."""


class Leases(Protocol):
    """What one worker holds, as its heartbeat sees it."""

    @property
    def lease_s(self) -> float:
        """Seconds that they last without being renewed."""

    def renew(self) -> bool:
        """Renew them; returns whether the worker is asked to end."""

    def leave(self, ending: str, log: str = "", *, counts: bool = False) -> None:
        """End the worker and give back what it holds."""


class Heartbeat(threading.Thread):
    """Renews a worker's leases four times in a lease, whatever the main thread does, and also after an outage.

    A candidate that takes too long is given back with the stacks of all threads as its log, the attempt counts as
    failed, and the process ends with `HUNG`, since there is no other way to stop native code that hangs.

    Args:
        queue: what the worker holds.
        limit_s: seconds that one candidate, or one measurement, may take.
        on_stop: called once, when the search asks its workers to end.
        say: prints a line for people.
    """

    def __init__(
        self,
        queue: Leases,
        limit_s: float,
        on_stop: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._queue, self._limit_s, self._on_stop, self._say = queue, limit_s, on_stop, say
        self._stop_event = threading.Event()
        self._since: float | None = None
        self._allowed_s = limit_s

    def begin(self, limit_s: float | None = None) -> None:
        """Start the clock of a candidate, or of a pass of a fine-tuning.

        Args:
            limit_s: seconds that it may take, if not as long as a candidate.
        """
        self._allowed_s = self._limit_s if limit_s is None else limit_s
        self._since = time.monotonic()

    def end(self) -> None:
        """Stop the clock of the candidate."""
        self._since = None

    def close(self) -> None:
        """End the thread."""
        self._stop_event.set()
        self.join()

    def run(self) -> None:
        """Renew until `close`."""
        lease_s, pause_s, stopping = self._queue.lease_s, 0.0, False
        while not self._stop_event.wait(min(pause_s, self._allowed_s)):
            pause_s = lease_s / 4
            try:
                if self._queue.renew() and not stopping:
                    stopping = True
                    self._on_stop()
            except StorageError:  # the worker's own calls say so, and wait; leases start anew afterwards
                pause_s = lease_s / 16
            since = self._since
            if since is not None and time.monotonic() - since > self._allowed_s:
                self._end_hung_worker()

    def _end_hung_worker(self) -> None:
        reason = f"hung: its work took more than {self._allowed_s:.0f} s"
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            stacks = file.read()
        self._say(f"{reason}\n{stacks}")
        try:
            self._queue.leave(reason, stacks, counts=True)
        except StorageError as error:
            self._say(f"its leases expire by themselves: {error}")
        sys.stderr.flush()
        os._exit(HUNG)


@contextmanager
def beating(
    queue: Leases, limit_s: float, stop_event: threading.Event, say: Callable[[str], None]
) -> Iterator[Heartbeat]:
    """Within the scope the leases of a worker are renewed; what it holds is given back however the scope ends.

    Args:
        queue: what the worker holds.
        limit_s: seconds that one candidate, or one measurement, may take.
        stop_event: event to set when the search asks its workers to end.
        say: prints a line for people.
    """
    heartbeat = Heartbeat(queue, limit_s, on_stop=stop_event.set, say=say)
    heartbeat.start()
    ending = "finished"
    try:
        yield heartbeat
        ending = "stopped" if stop_event.is_set() else ending
    except BaseException as error:
        ending = f"{type(error).__name__}: {error}".splitlines()[0]
        raise
    finally:
        heartbeat.close()
        try:
            queue.leave(ending)
        except StorageError as error:
            say(f"the worker's end could not be recorded: {error}")


@contextmanager
def working(
    database: Database,
    search: Registered,
    device: str,
    spool: Path,
    trial_limit_s: float,
    stop_event: threading.Event,
    say: Callable[[str], None],
) -> Iterator[tuple[Queue, Heartbeat]]:
    """Within the scope this process is a worker of the search; its claims are given back however the scope ends.

    Args:
        database: database of the search.
        search: search to work on.
        device: device that the worker computes on, for people to read.
        spool: folder on this node for results that cannot be written to the database.
        trial_limit_s: seconds that one candidate may take.
        stop_event: event to set when the search asks its workers to end.
        say: prints a line for people.

    Yields:
        the worker's queue and its heartbeat.

    Raises:
        StorageError: the database could not be reached.
    """
    queue = Queue(database, search, device, spool)
    with beating(queue, trial_limit_s, stop_event, say) as heartbeat:
        yield queue, heartbeat
