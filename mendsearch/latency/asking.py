"""Networks that are exported here, and timed by a device worker elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

import mendstore
from mendsearch.batches import Batch
from mendsearch.budget.profile import Setting
from mendsearch.errors import MendsearchError, UsageError
from mendsearch.latency.device import DTYPE
from mendsearch.latency.graphs import Graphs, inputs_file
from mendsearch.latency.measuring import Times
from mendsearch.latency.programs import PROGRAMS, is_program
from mendsearch.latency.sessions import Sessions
from mendsearch.latency.timers import ROUNDS

POLL_S = 0.5
"""Seconds between two looks."""
AHEAD = 2
"""Sets that are asked for at the same time, so that the device need not wait for exports."""

Say = Callable[[str], None]


class NoDeviceError(MendsearchError):
    """No device worker is there to measure; start one, and run the same command again."""


def wanted(runtime: str, threads: int, device: str | None = None) -> dict[str, Any]:
    """What the setting of a device worker has to contain.

    Raises:
        UsageError: device workers have no such runtime.
    """
    if not is_program(runtime):
        known = ", ".join(PROGRAMS)
        raise UsageError(f"device: got runtime {runtime!r}, expected one that needs no PyTorch: {known}")
    named = {} if device is None else {"device": device}
    return {"runtime": runtime, "threads": threads, "dtype": DTYPE, **named}


def find_device(
    measurements: mendstore.Measurements, setting: Mapping[str, Any], url: str, patience_s: float, say: Say
) -> str:
    """Wait for a device worker; returns the name of its device.

    Args:
        measurements: measurements of the search.
        setting: what its setting has to contain.
        url: URL of the database, for the command that starts one.
        patience_s: seconds to wait.
        say: prints a line for people.

    Raises:
        NoDeviceError: there is none in time.
        UsageError: there are several devices, whose times differ.
    """
    started, start = time.monotonic(), mendstore.device_command(url, measurements.name, setting)
    told = False
    while not (found := {worker.setting["device"] for worker in measurements.devices(setting)}):
        if not told:
            told = True
            say(f"waiting up to {patience_s / 60:.3g} min for a device worker; start one on the device: {start}")
        if time.monotonic() - started >= patience_s:
            raise NoDeviceError(f"no device worker has come within {patience_s / 60:.3g} min; start one: {start}")
        time.sleep(POLL_S)
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise UsageError(f"profile: got device workers on {names}, expected one device; stop those on the others")
    return str(found.pop())


class DeviceTimer:
    """Networks exported here and timed by a device worker, in turns with the dense one.

    Args:
        measurements: measurements of the search.
        setting: what the setting of the device worker has to contain, its device included.
        dense: the dense network.
        batch: inputs of a pass.
        patience_s: seconds without any device worker after which it gives up.

    Raises:
        UsageError: a package that exports is not installed.
        ModelError: the dense network cannot be exported.
    """

    def __init__(
        self,
        measurements: mendstore.Measurements,
        setting: Mapping[str, Any],
        dense: nn.Module,
        batch: Batch,
        patience_s: float,
    ) -> None:
        self._measurements, self._wanted, self._batch = measurements, dict(setting), batch
        self._patience_s, self._versions = patience_s, {"torch": str(torch.__version__)}
        self._graphs = Graphs(Sessions(extra="onnx"))
        self._dense = self._graphs.graph(dense, batch).content
        self._inputs = inputs_file(dense, batch)

    def times(self, sets: Iterable[Sequence[nn.Module]], seed: int) -> Generator[Times, None, None]:
        """Times of each set of networks, by their places in it; two sets are asked for at a time.

        Raises:
            NoDeviceError: no device worker was there for `patience_s`.
            MendsearchError: the device cannot measure a network.
            mendstore.StorageError: the database cannot be reached.
        """
        asked, done = deque[int](), 0
        try:
            for networks in sets:
                named = {str(place): network for place, network in enumerate(networks)}
                asked.append(self._ask(named, ROUNDS, None, seed + done))
                done += len(networks)
                if len(asked) == AHEAD:
                    yield _by_place(self._wait(asked[0]))
                    asked.popleft()
            while asked:
                yield _by_place(self._wait(asked[0]))
                asked.popleft()
        finally:
            self._withdraw(asked)

    def together(
        self, networks: Mapping[str, nn.Module], *, rounds: int, error: float | None = None, seed: int
    ) -> Times:
        """Times of one set of networks, by name; raises as `times`."""
        asked = [self._ask(networks, rounds, error, seed)]
        try:
            return self._wait(asked[0])
        finally:
            self._withdraw(asked)

    @property
    def setting(self) -> Setting:
        """What the device worker said of itself."""
        return Setting(**self._wanted, batch=len(self._batch), versions=self._versions)

    def _ask(self, networks: Mapping[str, nn.Module], rounds: int, error: float | None, seed: int) -> int:
        files = {name: self._graphs.graph(network, self._batch).content for name, network in networks.items()}
        inputs = self._inputs
        return self._measurements.ask(self._wanted, files, self._dense, inputs, rounds=rounds, error=error, seed=seed)

    def _wait(self, number: int) -> Times:
        seen = time.monotonic()
        while True:
            asked = self._measurements.look([number])[number]
            if asked.answer is not None:
                said = asked.answer.setting.get("versions")
                self._versions |= said if isinstance(said, dict) else {}
                return Times(asked.answer.ms, asked.answer.dense_ms, asked.answer.noise, asked.answer.error)
            if asked.state == "failed":
                raise MendsearchError(f"the device cannot measure a network: {asked.log.splitlines()[-1]}")
            if asked.served:
                seen = time.monotonic()
            elif time.monotonic() - seen > self._patience_s:
                raise NoDeviceError(
                    f"the device worker went, and none has come for {self._patience_s:.0f} s; start it, and run the "
                    f"same command again"
                )
            time.sleep(POLL_S)

    def _withdraw(self, asked: Iterable[int]) -> None:
        with suppress(mendstore.StorageError):  # what nobody looks at is not measured
            self._measurements.withdraw(list(asked))


def _by_place(times: Times) -> Times:
    return Times({int(name): ms for name, ms in times.ms.items()}, times.dense_ms, times.noise, times.error)
