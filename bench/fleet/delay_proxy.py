"""A proxy in front of Postgres that adds delay and can be cut. Benchmarks start it as a process.

Half of the delay is added in each direction, so a round trip takes `--delay-ms` longer. SIGUSR1 cuts the network:
nothing passes, and neither side is told. SIGUSR2 restores it and resets the connections of before, as a router does
that has forgotten them. It prints the port that it listens on, then a line for each of these changes. It ends with the
process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Side(asyncio.Protocol):
    """One end of a connection; what it reads is written to the other end after the delay."""

    def __init__(self, network: Network) -> None:
        self._network, self._loop = network, asyncio.get_running_loop()
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._late: deque[tuple[float, bytes | None]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the side; while the network is cut, the other end is not told."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._network.sides.add(self)
        if self._network.is_cut:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass the data on after the delay."""
        self._later(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the other end, after all data that was sent before."""
        self._network.sides.discard(self)
        self._later(None)

    def _later(self, data: bytes | None) -> None:
        when = self._loop.time() + self._network.delay_s
        self._late.append((when, data))
        if self._network.delay_s == 0:
            self._deliver()
        else:
            self._loop.call_at(when, self._deliver)

    def _deliver(self) -> None:
        """Deliver what is due, closing after all data; nothing while the network is cut."""
        while self._late and self._late[0][0] <= self._loop.time() and not self._network.is_cut:
            if self.other is None or self.other.transport is None:
                return
            _, data = self._late.popleft()
            if data is None:
                self.other.transport.close()
            else:
                self.other.transport.write(data)

    def link(self, other: Side) -> None:
        """Set the other end, and deliver what has waited for it."""
        self.other = other
        self._deliver()


class Network:
    """All connections through the proxy.

    Args:
        target: path of a socket, or HOST:PORT.
        delay_s: delay in each direction.
    """

    def __init__(self, target: str, delay_s: float) -> None:
        self._target, self.delay_s = target, delay_s
        self.sides: set[Side] = set()
        self.is_cut = False

    def client(self) -> Side:
        """The side of a client that has just connected."""
        side = Side(self)
        asyncio.get_running_loop().create_task(self._link(side))
        return side

    async def _link(self, client: Side) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(2 * self.delay_s)  # a handshake is a round trip
        try:
            if self._target.startswith("/"):
                _, server = await loop.create_unix_connection(lambda: Side(self), self._target)
            else:
                host, port = self._target.rsplit(":", 1)
                _, server = await loop.create_connection(lambda: Side(self), host, int(port))
        except OSError:
            if client.transport is not None and not self.is_cut:
                client.transport.abort()
            return
        server.link(client)
        client.link(server)

    def cut(self) -> None:
        """Stop all traffic."""
        self.is_cut = True
        for side in self.sides:
            if side.transport is not None:
                side.transport.pause_reading()

    def restore(self) -> None:
        """Let new connections through, and reset old ones."""
        self.is_cut = False
        for side in list(self.sides):
            if side.transport is not None:
                side.transport.abort()


async def serve(target: str, host: str, delay_ms: float) -> None:
    """Serve until this process or the one that started it ends."""
    loop, network, starter = asyncio.get_running_loop(), Network(target, delay_ms / 2000), os.getppid()
    loop.add_signal_handler(signal.SIGUSR1, _told, network.cut)
    loop.add_signal_handler(signal.SIGUSR2, _told, network.restore)
    server = await loop.create_server(network.client, host, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while os.getppid() == starter:
        await asyncio.sleep(0.5)


def _told(change: Callable[[], None]) -> None:
    """Change the network, and print a line once that is done."""
    change()
    print("changed", flush=True)


class Proxy:
    """The proxy as a process.

    Attributes:
        port: port that it listens on.
    """

    def __init__(self, target: str, host: str, delay_ms: float) -> None:
        command = [sys.executable, "-m", "bench.fleet.delay_proxy", target, "--host", host, "--delay-ms", str(delay_ms)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def cut(self) -> None:
        """Cut the network; nothing passes any more when the call returns."""
        self._changed(signal.SIGUSR1)

    def restore(self) -> None:
        """Restore the network."""
        self._changed(signal.SIGUSR2)

    def _changed(self, number: signal.Signals) -> None:
        assert self._process.stdout is not None
        self._process.send_signal(number)
        self._process.stdout.readline()  # it has done so

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def proxied(target: Path | str, delay_ms: float = 0.0, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy that runs within the scope."""
    proxy = Proxy(str(target), host, delay_ms)
    try:
        yield proxy
    finally:
        proxy.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="path of Postgres's socket, or HOST:PORT")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="milliseconds added to a round trip")
    given = parser.parse_args()
    # select() takes microseconds; epoll would round the delay up to whole milliseconds
    factory = lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())  # noqa: E731
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(given.target, given.host, given.delay_ms))


if __name__ == "__main__":
    main()
