"""Times of several networks, measured in turns on a machine that drifts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mendsearch.latency.machine import Machine, Pass

VISIT_S = 0.05
"""Seconds of passes at each turn of a network, of a short one; a long one has `LEAST` passes."""
LEAST, MOST = 3, 20
"""Passes that are timed at a turn."""
BETWEEN = 1
"""Turns of other networks between two of the dense one."""

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Times:
    """Times of a pass.

    Attributes:
        ms: by network, milliseconds at the speed that the machine had in the median.
        dense_ms: of the dense network.
        noise: how far two turns of the dense network differ: median distance from their median, relative to it.
        rounds: turns of each network.
    """

    ms: dict[Any, float]
    dense_ms: float
    noise: float
    rounds: int

    @property
    def error(self) -> float:
        """Standard error of a median, as a fraction, if turns are normally distributed."""
        return 1.4826 * self.noise * math.sqrt(math.pi / 2 / self.rounds)


def measure(
    passes: Mapping[Key, Pass],
    dense: Pass,
    runtime: Machine,
    *,
    rounds: int,
    seed: int = 0,
    clock: Clock | None = None,
) -> Times:
    """Median times, in an order that is drawn anew in each round, with the dense network between.

    A turn begins with a pass that is not counted. Each turn is related to those of the dense network before and after
    it, so that a machine that slows down or speeds up does so for all.

    Args:
        passes: networks that are ready to run, by any key.
        dense: the dense network.
        runtime: what they run in.
        rounds: turns of each network.
        seed: seed of the order.
        clock: seconds since some moment; by default what `clock_of` says.
    """
    clock = clock or clock_of(runtime)
    rng, keys = np.random.default_rng(seed), list(passes)
    turns: list[tuple[Hashable, float, int]] = []  # network, milliseconds, number of dense turns before
    speeds: list[float] = []
    with runtime.running():
        speeds.append(_turn(dense, clock))
        for _ in range(rounds):
            for place, index in enumerate(rng.permutation(len(keys))):
                turns.append((keys[index], _turn(passes[keys[index]], clock), len(speeds)))
                if place % BETWEEN == BETWEEN - 1:
                    speeds.append(_turn(dense, clock))
        speeds.append(_turn(dense, clock))
    middle = statistics.median(speeds)
    found: dict[Hashable, list[float]] = {key: [] for key in keys}
    for key, ms, after in turns:
        near = statistics.mean(speeds[after - 1 : after + 1])
        found[key].append(ms * middle / near)
    noise = statistics.median(abs(speed - middle) for speed in speeds) / middle
    return Times({key: statistics.median(values) for key, values in found.items()}, middle, noise, rounds)


def clock_of(runtime: Machine) -> Clock:
    """The clock for a runtime.

    One thread on a CPU is timed by the processor time of that thread: other processes that take their turns on the same
    core do not count. All else is timed by the clock on the wall.
    """
    return time.thread_time if runtime.threads == 1 and runtime.on_cpu else time.perf_counter


def _turn(run: Pass, clock: Clock) -> float:
    """Milliseconds of the fastest of a few passes: what disturbs one only makes it slower."""
    run()
    taken: list[float] = []
    started = clock()
    while len(taken) < LEAST or (clock() - started < VISIT_S and len(taken) < MOST):
        before = clock()
        run()
        taken.append(1000 * (clock() - before))
    return min(taken)
