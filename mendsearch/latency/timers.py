"""Where networks are timed: on this machine, or elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget.profile import Setting
from mendsearch.latency.measuring import Clock, Times, measure
from mendsearch.latency.runtimes import Runtime, written

ROUNDS = 3
"""Turns of each candidate of a profile."""


class Timer(Protocol):
    """What times candidates of a network, in turns with the dense one."""

    def times(self, sets: Iterable[Sequence[nn.Module]], seed: int) -> Generator[Times, None, None]:
        """Times of each set of networks, by their places in it; sets are taken as they are needed, or earlier.

        Args:
            sets: networks that take turns.
            seed: seed of their order.
        """

    @property
    def setting(self) -> Setting:
        """What the times depend on; known after the first ones."""


class Here:
    """Networks timed in a runtime of this machine.

    Args:
        runtime: what they run in.
        dense: the dense network.
        batch: inputs of a pass.
        clock: see `measure`.
    """

    def __init__(self, runtime: Runtime, dense: nn.Module, batch: Batch, clock: Clock | None = None) -> None:
        self._runtime, self._dense, self._batch, self._clock = runtime, dense, batch, clock

    def times(self, sets: Iterable[Sequence[nn.Module]], seed: int) -> Generator[Times, None, None]:
        """Times of each set of networks."""
        runtime, done = self._runtime, 0
        dense = runtime.prepare(self._dense, self._batch)
        for networks in sets:
            passes = {place: runtime.prepare(network, self._batch) for place, network in enumerate(networks)}
            yield measure(passes, dense, runtime, rounds=ROUNDS, seed=seed + done, clock=self._clock)
            done += len(networks)

    @property
    def setting(self) -> Setting:
        """The runtime and its machine."""
        return setting_of(self._runtime, len(self._batch))


def setting_of(runtime: Runtime, batch: int) -> Setting:
    """What times in a runtime of this machine depend on."""
    return Setting(
        runtime=runtime.name,
        device=runtime.device(),
        batch=batch,
        threads=runtime.threads,
        dtype=written(runtime.dtype),
        versions=runtime.versions(),
    )
