"""Faults for a fleet: workers killed, frozen and signalled, a database that crashes, a network that is cut."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import psycopg2

from bench.fleet.delay_proxy import proxied
from bench.fleet.server import BenchServer

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Rates:
    """Seconds between faults of each kind; 0 is never. An outage comes once.

    Attributes:
        kill: a worker is killed with -9.
        terminate: a worker is sent SIGTERM.
        freeze: a worker is stopped for one and a half leases, like a node that swaps or migrates, and then continues.
        restart: the server is stopped, by a crash (`immediate`) and cleanly (`fast`) in turn, and started.
        backends: the server ends all its connections.
        cut: the network is cut for `cut_s`.
        outage_after: fraction of the work that is done when the outage begins.
        outage_s: duration of the outage.
        after_progress: whether the next fault of a worker, or of the server and the network, waits until some work has
            ended since the last one; on a busy machine nothing would ever be done otherwise.
    """

    kill: float
    terminate: float
    freeze: float
    restart: float
    backends: float
    cut: float
    cut_s: float
    outage_after: float
    outage_s: float
    after_progress: bool = False


class Wire(Protocol):
    """The network between the workers and the server."""

    def cut(self) -> None:
        """Stop all traffic."""

    def restore(self) -> None:
        """Let traffic through again."""


class Namespace:
    """A network namespace for the workers.

    While it is cut, packets are lost silently, and new connections fail as unreachable.
    """

    name, here, there, host, guest = "mendbench", "mend-host", "mend-guest", "10.231.77.1", "10.231.77.2"

    def make(self) -> None:
        """Create the namespace and the pair of interfaces that links it."""
        self.remove()
        _ip("netns", "add", self.name)
        _ip("link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.name)
        _ip("addr", "add", f"{self.host}/30", "dev", self.here)
        _ip("link", "set", self.here, "up")
        _ip("-n", self.name, "addr", "add", f"{self.guest}/30", "dev", self.there)
        for device in ("lo", self.there):
            _ip("-n", self.name, "link", "set", device, "up")

    def remove(self) -> None:
        """Delete the namespace and its interfaces."""
        subprocess.run(["ip", "link", "del", self.here], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def cut(self) -> None:
        """Take down the interface on the workers' side."""
        _ip("-n", self.name, "link", "set", self.there, "down")

    def restore(self) -> None:
        """Bring it up again."""
        _ip("-n", self.name, "link", "set", self.there, "up")


@contextmanager
def network(server: BenchServer, in_namespace: bool) -> Iterator[tuple[str, list[str], Wire]]:
    """Yield the URL for workers, the prefix of their command, and the wire that can be cut."""
    if not in_namespace:
        with proxied(server.socket) as proxy:
            yield server.through("127.0.0.1", proxy.port), [], proxy
        return
    namespace = Namespace()
    namespace.make()
    try:
        with proxied(server.socket, host=namespace.host) as gate:
            yield server.through(namespace.host, gate.port), ["ip", "netns", "exec", namespace.name], namespace
    finally:
        namespace.remove()


class Injector:
    """Injects faults until all work is done or `close` is called.

    Args:
        rates: how often each fault occurs.
        server: the database.
        wire: network between workers and database.
        pids: returns process ids of the workers that may be hit.
        lease_s: duration of a lease.
        done: returns the fraction of the work that is done.
        seed: seed of the choice of workers.

    Attributes:
        faults: number of faults of each kind.
        errors: errors that ended an injecting thread; `close` raises the first.
    """

    def __init__(
        self,
        rates: Rates,
        server: BenchServer,
        wire: Wire,
        pids: Callable[[], list[int]],
        lease_s: float,
        done: Callable[[], float],
        seed: int = 0,
    ) -> None:
        self._rates, self._server, self._wire = rates, server, wire
        self._pids, self._lease_s, self._done = pids, lease_s, done
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._crash = False
        self._outages = 0
        self.faults: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        # workers are hit while the server is down too, so there is a thread for each
        self._threads = [
            threading.Thread(target=self._guarded, args=(inject,), daemon=True)
            for inject in (self._workers, self._base)
        ]

    def start(self) -> None:
        """Start injecting."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop injecting; afterwards the server runs and the network is up."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _guarded(self, inject: Callable[[], None]) -> None:
        try:
            inject()
        except BaseException as error:
            self.errors.append(error)

    def _workers(self) -> None:
        kinds = {
            "kill -9": (self._rates.kill, signal.SIGKILL),
            "SIGTERM": (self._rates.terminate, signal.SIGTERM),
            "frozen for 1.5 leases": (self._rates.freeze, signal.SIGSTOP),
        }
        due = {kind: time.monotonic() + period / 2 for kind, (period, _) in kinds.items() if period}
        done_at_last = -1.0
        thaw: list[tuple[float, int]] = []
        while not self._over.wait(0.05):
            now = time.monotonic()
            for kind in self._ready(due, now, done_at_last):
                period, number = kinds[kind]
                due[kind], done_at_last = now + period, self._done()
                if (pid := self._send(number)) is None:
                    continue
                self.faults[kind] += 1
                if number == signal.SIGSTOP:
                    thaw.append((now + 1.5 * self._lease_s, pid))
            for when, pid in [frozen for frozen in thaw if frozen[0] <= now]:
                thaw.remove((when, pid))
                _signal(pid, signal.SIGCONT)
        for _, pid in thaw:
            _signal(pid, signal.SIGCONT)

    def _ready(self, due: Mapping[str, float], now: float, done_at_last: float) -> list[str]:
        """The kinds of faults that come now: all that are due, or one of them where it waits for progress."""
        ready = sorted((kind for kind, when in due.items() if when <= now), key=due.__getitem__)
        if not self._rates.after_progress:
            return ready
        return ready[:1] if ready and self._done() > done_at_last else []

    def _send(self, number: int) -> int | None:
        living = self._pids()
        if not living:
            return None
        pid = self._random.choice(living)
        return pid if _signal(pid, number) else None

    def _base(self) -> None:
        """Faults of the server and the network, one at a time."""
        rates = self._rates
        kinds = {
            "restart": (rates.restart, self._restart),
            "backends": (rates.backends, self._end_backends),
            "network cut": (rates.cut, self._cut),
        }
        due = {kind: time.monotonic() + period / 2 for kind, (period, _) in kinds.items() if period}
        done_at_last = -1.0
        while not self._over.wait(0.2):
            done = self._done()
            if done >= 1:  # or the last worker, which then gets all faults, would not live to see the end
                self._over.set()
                return
            if rates.outage_s and not self._outages and done >= rates.outage_after:
                self._outages += 1
                self._outage()
            for kind in self._ready(due, time.monotonic(), done_at_last):
                period, inject = kinds[kind]
                inject()
                due[kind], done_at_last = time.monotonic() + period, done

    def _restart(self) -> None:
        self._crash = not self._crash
        mode = "immediate" if self._crash else "fast"
        self._server.stop(mode)
        self._server.start()
        self.faults[f"Postgres restarted, {mode}"] += 1

    def _end_backends(self) -> None:
        with suppress(psycopg2.Error):
            ((ended,),) = self._server.ask(TERMINATE)
            self.faults["connections ended by the server"] += ended

    def _cut(self) -> None:
        self._wire.cut()
        self._over.wait(self._rates.cut_s)
        self._wire.restore()
        self.faults[f"network cut for {self._rates.cut_s:.0f} s"] += 1

    def _outage(self) -> None:
        self._server.stop("fast")
        self._over.wait(self._rates.outage_s)
        self._server.start()
        self.faults[f"Postgres stopped for {self._rates.outage_s:.0f} s"] += 1


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
