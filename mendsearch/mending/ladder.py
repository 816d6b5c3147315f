"""The last rungs: finalists are fine-tuned a little, the better half goes on, until the last have had the whole.

Reference: successive halving, Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

RUNGS = (0.25, 0.5, 1.0)
"""Parts of the whole fine-tuning that finalists have had at each rung."""
ROUNDING = 1e-6
"""Relative difference of two values on the same items that is none."""
REDUCTION_FACTOR = 2
"""Of how many finalists one is promoted, as Hyperband calls it."""


@dataclass(frozen=True, order=True)
class Standing:
    """How good a network is on the validation split; the larger of two is the better.

    Attributes:
        value: accuracy (0-1), or agreement with the dense network where there are no labels.
        tie: what decides between equal values: minus the mean loss.
    """

    value: float
    tie: float


def promoted(climbing: int) -> int:
    """How many of so many finalists go on."""
    return -(-climbing // REDUCTION_FACTOR)


def places(finalists: int) -> list[int]:
    """How many finalists there are on each rung."""
    found = [finalists]
    for _ in RUNGS[1:]:
        found.append(promoted(found[-1]))
    return found


def fine_tunings(finalists: int) -> int:
    """How many fine-tunings there are on all rungs together."""
    return sum(places(finalists))


def part_of(rung: int) -> float:
    """The fraction of the whole fine-tuning between a rung and the one before."""
    return RUNGS[rung] - (RUNGS[rung - 1] if rung else 0.0)


def climb(names: Iterable[str], judge: Callable[[str, int], Standing]) -> dict[str, list[Standing]]:
    """Promote the better half of the finalists from rung to rung.

    Args:
        names: finalists.
        judge: brings a finalist to the rung of that number, and says how good it is there.

    Returns:
        standings by finalist, one for each rung that it reached.
    """
    climbing = list(names)
    reached: dict[str, list[Standing]] = {name: [] for name in climbing}
    for rung in range(len(RUNGS)):
        for name in climbing:
            reached[name].append(judge(name, rung))
        climbing.sort(key=lambda name: reached[name][-1], reverse=True)
        climbing = climbing[: promoted(len(climbing))]
    return reached


@dataclass(frozen=True, order=True)
class Kept:
    """A finalist as it is kept: after its last rung, or as it was before fine-tuning, if that was better.

    Of two, the larger is the better.

    Attributes:
        standing: how it stands.
        rungs: how many rungs it has behind it.
    """

    standing: Standing
    rungs: int


def kept(before: Standing, reached: Sequence[Standing]) -> Kept:
    """How a finalist is kept. Values that are equal up to rounding are level, and it is kept fine-tuned.

    Args:
        before: its standing before fine-tuning.
        reached: at each rung that it reached.
    """
    level = reached and math.isclose(reached[-1].value, before.value, rel_tol=ROUNDING)
    if reached and (level or reached[-1].value > before.value):
        return Kept(reached[-1], len(reached))
    return Kept(before, 0)


def compared(ours: int, theirs: int) -> tuple[int, int]:
    """After how many rungs two finalists are compared, given how many each has behind it as it is kept.

    Both after the last one that both reached; where one is kept as it was before fine-tuning, each as it is kept.
    """
    both = min(ours, theirs)
    return (both, both) if both else (ours, theirs)


def lead(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """By how much one network is ahead of another on the same items: a paired comparison.

    What is hard for both cancels out. For right and wrong answers the error is that of McNemar's test.

    Args:
        ours: (N,) values of the items, higher is better.
        theirs: (N,) values of the other network.

    Returns:
        the mean difference, and its standard error.
    """
    ahead = (ours - theirs).double()
    return float(ahead.mean()), float(ahead.std(correction=0)) / math.sqrt(len(ahead))
