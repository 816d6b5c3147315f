"""Keep a worker in every slot: restart those that crash, pass signals on, and end with all of them."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mendsearch.errors import MendsearchError
from mendsearch.fleet.launch.attempt import Attempt
from mendsearch.fleet.launch.restarts import DONE, UNREACHABLE, USAGE, RestartPolicy, final, meaning
from mendsearch.fleet.launch.seats import Seat
from mendsearch.fleet.launch.slots import Slot

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PATIENCE_S = 15.0
POLL_S = 0.1
OnExit = Callable[[int, int, str], None]


class Supervisor:
    """Workers of one machine.

    A worker that ends with 0 or 2 is not started again: the search is done, or another start would be refused too.
    After any other end, the worker is started again after a pause (`RestartPolicy`), until too many starts failed in a
    row. Once a worker of the slot has run long enough, a database that cannot be reached (3) is waited for without
    limit.

    The workers end with this process, even if it is killed with -9: on Linux, the kernel then sends them SIGTERM, and
    they give back their work. The kernel does the same when the *thread* that started them ends: call `start` and
    `poll`, or `run`, from a thread that lives as long as the workers. On other systems, the workers would keep running.

    Args:
        command: command of a worker.
        environment: complete environment of a worker, with the URL of the database.
        slots: slots for one worker each; the variables of a slot override the common ones.
        log_dir: folder with a file `HOST-SLOT.log` for each slot, appended to.
        on_exit: function called after each end of a worker and before it is started again, with its process id, its
            exit code (-n if signal n killed it, 128+n if it ended itself on signal n) and the last lines of its log.
            It must be fast: nothing is supervised meanwhile. Its errors are reported and ignored.
        policy: restart policy.
        say: function that takes each line of progress.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        slots: Sequence[Slot],
        log_dir: Path,
        on_exit: OnExit | None = None,
        *,
        policy: RestartPolicy | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._command, self._environment, self._on_exit = list(command), dict(environment), on_exit
        self._policy, self._news = policy or RestartPolicy(), say
        self._log_dir = log_dir
        self._seats = [self._seat(slot) for slot in slots]
        self._stopped_by: int | None = None
        self._deadline: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether the workers were asked to stop."""
        return self._stopped_by is not None

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [seat.attempt.pid for seat in self._seats if seat.attempt is not None]

    @property
    def exit_code(self) -> int:
        """0 if every slot ended with 0; else 128+n after signal n; else the worst of the workers' exit codes."""
        codes = {seat.code for seat in self._seats}
        if codes == {DONE}:
            return DONE
        if self._stopped_by is not None:
            return 128 + self._stopped_by
        if USAGE in codes:
            return USAGE
        return UNREACHABLE if codes <= {DONE, UNREACHABLE} else MendsearchError.exit_code

    def start(self) -> None:
        """Start a worker in every slot.

        Raises:
            OSError: a log file cannot be written.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self.poll()

    def poll(self) -> bool:
        """Handle what has happened since the last call, without waiting. Returns False once all is over."""
        for seat in list(self._seats):
            if seat.attempt is not None and (code := seat.attempt.poll()) is not None:
                self._ended(seat, seat.attempt, code)
            if seat.due is not None and time.monotonic() >= seat.due:
                self._start(seat)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kill()
        return not all(seat.over for seat in self._seats)

    def resize(self, slots: Sequence[Slot]) -> None:
        """Have a worker in each of these slots, and in no other; seats that were given up are tried again.

        Workers that are too many, and those whose slot has another device or share of the cores now, are sent SIGTERM
        and have the time that they need to give back their work. The latter are started again.

        Args:
            slots: slots for one worker each, one or more.
        """
        if self.stopping:
            return
        seats, wanted = {seat.slot.index: seat for seat in self._seats}, {slot.index: slot for slot in slots}
        for index, seat in seats.items():
            if index in wanted:
                seat.move_to(wanted[index])
            else:
                seat.leave()
        kept = [seat for seat in self._seats if seat.wanted or not seat.over]
        self._seats = [*kept, *(self._seat(slot) for index, slot in wanted.items() if index not in seats)]

    def stop(self, number: int = signal.SIGTERM, patience_s: float = PATIENCE_S) -> None:
        """Send a signal to the workers and start no others. After `patience_s`, or on a second call, they are killed.

        Keep calling `poll` until it returns False.
        """
        if self._stopped_by is not None:
            self._kill()
            return
        self._stopped_by = number
        self._deadline = time.monotonic() + patience_s
        for seat in self._seats:
            seat.due = None
            if seat.attempt is not None and not seat.asked:
                seat.attempt.send(number)
        name = signal.Signals(number).name
        asked = len(self.pids)
        self._say(f"workers asked to stop by {name}: {asked}; they have {patience_s:.0f} s, a second signal kills them")

    def run(self) -> int:
        """Start the workers and wait until all have ended; returns `exit_code`. Call it in the main thread."""
        with _caught(SIGNALS) as received:
            try:
                self.start()
                while self.poll():
                    while received:
                        self.stop(received.pop(0))
                    time.sleep(POLL_S)
            finally:
                self.close()
        return self.exit_code

    def close(self) -> None:
        """Stop the workers that still run, and wait until they have ended."""
        if any(not seat.over for seat in self._seats) and not self.stopping:
            self.stop()
        while self.poll():
            time.sleep(POLL_S)

    def _seat(self, slot: Slot) -> Seat:
        return Seat(slot, self._log_dir / f"{socket.gethostname().partition('.')[0]}-{slot.index}.log")

    def _start(self, seat: Seat) -> None:
        environment = {**self._environment, **seat.slot.environment}
        seat.attempt = Attempt(self._command, environment, seat.log, str(seat))
        seat.due = None
        self._say(f"{seat}: started, process {seat.attempt.pid}, log {seat.log}")

    def _ended(self, seat: Seat, attempt: Attempt, code: int) -> None:
        seat.attempt, seat.code = None, code
        tail = attempt.tail()
        self._report(attempt.pid, code, tail)
        news = f"{seat}: {meaning(code)} ({attempt.lasted_s:.0f} s)"
        asked, seat.asked = seat.asked, False
        if not seat.wanted:
            self._seats.remove(seat)
        if code == DONE or self.stopping or not seat.wanted:
            self._say(news)
        elif asked:
            seat.due = time.monotonic()
            self._say(f"{news}; another takes its place")
        elif final(code):
            self._say(_with_log(news, tail))
        else:
            lasted = attempt.lasted_s >= self._policy.healthy_s
            seat.failures, seat.proven = 1 if lasted else seat.failures + 1, seat.proven or lasted
            outage = code == UNREACHABLE and seat.proven  # a database that was reached once comes back
            if seat.failures >= self._policy.failures and not outage:
                self._say(_with_log(f"{news}; given up after {seat.failures} failures in a row", tail))
                return
            pause_s = self._policy.pause_s(seat.failures)
            seat.due = time.monotonic() + pause_s
            self._say(f"{news}; failure {seat.failures} in a row, starts again in {pause_s:.1f} s")

    def _report(self, pid: int, code: int, tail: str) -> None:
        if self._on_exit is None:
            return
        try:
            self._on_exit(pid, code, tail)
        except Exception as error:  # whatever it is, the other workers still need their supervisor
            self._say(f"the exit of process {pid} could not be reported: {error}")

    def _kill(self) -> None:
        self._deadline = None
        for seat in self._seats:
            if seat.attempt is not None:
                seat.attempt.kill()
                self._say(f"{seat}: still running, killed")

    def _say(self, line: str) -> None:
        try:
            self._news(line)
        except OSError:  # the terminal is gone; the workers keep running
            self._news = lambda line: None


def _with_log(news: str, tail: str) -> str:
    return "\n".join([news, *(f"    {line}" for line in tail.splitlines())])


@contextmanager
def _caught(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Within the scope, signals that arrive are appended to the list and have no other effect."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda caught, _: received.append(caught)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
