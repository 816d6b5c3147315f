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
MORE, MORE_S = 5, 120.0
"""Times the rounds asked for that are taken at most on a noisy machine, and the seconds after which none is added."""

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Times:
    """Times of a pass.

    Attributes:
        ms: by network, milliseconds at the speed that the machine had in the median.
        dense_ms: of the dense network.
        noise: how far two turns of the dense network differ: median distance from their median, relative to it.
        error: standard error of a median, relative to it, if turns are normally distributed; that of the network in the
            middle.
    """

    ms: dict[Any, float]
    dense_ms: float
    noise: float
    error: float


def measure(
    passes: Mapping[Key, Pass],
    dense: Pass,
    runtime: Machine,
    *,
    rounds: int,
    error: float = math.inf,
    seed: int = 0,
    clock: Clock | None = None,
) -> Times:
    """Median times, in an order that is drawn anew in each round, with the dense network between.

    A turn begins with a pass that is not counted. Each turn is related to those of the dense network before and after
    it, so that a machine that slows down or speeds up does so for all. Where other work comes and goes, turns are added
    until the times are sure enough.

    Args:
        passes: networks that are ready to run, by any key.
        dense: the dense network.
        runtime: what they run in.
        rounds: turns of each network, at least.
        error: standard error from which no turn is added.
        seed: seed of the order.
        clock: seconds since some moment; by default what `clock_of` says.
    """
    clock = clock or clock_of(runtime)
    rng, keys, started = np.random.default_rng(seed), list(passes), time.monotonic()
    turns: list[tuple[Hashable, float, int]] = []  # network, milliseconds, number of dense turns before
    speeds: list[float] = []
    with runtime.running():
        speeds.append(_turn(dense, clock))
        for done in range(1, MORE * rounds + 1):
            for index in rng.permutation(len(keys)):
                turns.append((keys[index], _turn(passes[keys[index]], clock), len(speeds)))
                speeds.append(_turn(dense, clock))
            if done >= rounds:
                found = _times(turns, speeds)
                if found.error <= error or time.monotonic() - started > MORE_S:
                    break
    return found


def _times(turns: list[tuple[Hashable, float, int]], speeds: list[float]) -> Times:
    """Medians over turns, each related to those of the dense network before and after it."""
    middle = statistics.median(speeds)
    found: dict[Hashable, list[float]] = {}
    for key, ms, after in turns:
        near = statistics.mean(speeds[after - 1 : after + 1])
        found.setdefault(key, []).append(ms * middle / near)
    errors = (1.4826 * _spread(values) * math.sqrt(math.pi / 2 / len(values)) for values in found.values())
    medians = {key: statistics.median(values) for key, values in found.items()}
    return Times(medians, middle, _spread(speeds), statistics.median(errors))


def _spread(values: list[float]) -> float:
    """Median distance from the median, relative to it."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values) / middle


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
