"""Times of finalists, predicted and measured where a profile was made, and the best that meets its limits in time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, Limits
from mendsearch.coupling.layout import Ints
from mendsearch.errors import UsageError
from mendsearch.latency.measuring import Times, measure
from mendsearch.latency.runtimes import open_runtime
from mendsearch.latency.timers import setting_of
from mendsearch.modes import to_network
from mendstore.records import Timing, title

ROUNDS = 11
"""Turns of each finalist, at least: more are taken until the times are as sure as `LEAST_NOISE`."""
DRIFT = 0.1
"""By what fraction the dense network may be slower or faster than in the profile before it is said."""
LEAST_NOISE, MOST_NOISE = 0.01, 0.03
"""Fraction by which a network may be above its limit, at least and at most; between, the standard error of a time."""


def predicted(limits: Limits, limit: str, profile: LatencyProfile, counts: Mapping[str, Ints]) -> Timing:
    """Times of networks as a latency model says.

    Args:
        limits: the budget.
        limit: name of the limit in time.
        profile: its latency profile.
        counts: (G,) int64, keep counts of each network by name, `dense` among them.
    """
    costs = limits.costs
    return Timing(
        setting=profile.setting.model_dump(mode="json"),
        profile=profile.digest,
        error=profile.model.error,
        asked_ms=limits.absolute[limit],
        pace=1.0,
        predicted_ms={name: float(costs.costs(one, [limit])[limit]) for name, one in counts.items()},
        layers_ms={name: costs.layer_ms(one, limit) for name, one in counts.items()},
        measured_ms={},
        noise=None,
        met=None,
    )


def measured_here(profile: LatencyProfile, models: Mapping[str, nn.Module], items: Batch, seed: int) -> Times | str:
    """Times of networks in the setting of a profile, by name; or why this machine has none.

    Args:
        profile: the latency profile.
        models: networks by name, `dense` among them.
        items: inputs, as many as a pass of the profile has.
        seed: seed of the order in which they take turns.
    """
    setting = profile.setting
    try:
        runtime = open_runtime(setting.runtime, setting.threads, setting.dtype)
    except UsageError as error:
        return str(error)
    if differing := setting.differing(setting_of(runtime, setting.batch)):
        return f"the profile has {differing}"
    passes = {name: runtime.prepare(model, to_network(items, model)) for name, model in models.items()}
    return measure(passes, passes["dense"], runtime, rounds=ROUNDS, error=LEAST_NOISE, seed=seed)


def with_times(timing: Timing, profile: LatencyProfile, times: Times) -> Timing:
    """A prediction with what was measured.

    A device that is slower or faster than when it was profiled, because other work runs there or it has warmed up, says
    nothing of the networks. So the limit is taken relative to the dense network in the same turns.

    Args:
        timing: the prediction.
        profile: the latency profile.
        times: by name, `dense` among them.
    """
    pace = times.ms["dense"] / profile.dense_ms
    return timing.model_copy(update={"pace": pace, "measured_ms": times.ms, "noise": times.error})


def drift(profile: LatencyProfile, times: Times, limit: str) -> str | None:
    """A line that says how much slower or faster a device is than when it was profiled; None if it is as it was."""
    pace = times.ms["dense"] / profile.dense_ms
    if abs(pace - 1) <= DRIFT:
        return None
    return (
        f"the dense network takes {times.ms['dense']:.3g} ms{_on(limit)} now, and took {profile.dense_ms:.3g} ms in "
        f"the profile: limits are taken as {pace:.2f} times as long; if the device stays so, make the profile again"
    )


def meets(timing: Timing, name: str) -> bool | None:
    """Whether a network meets a limit in time by measurement, within the noise; None where nothing was measured."""
    if timing.noise is None:
        return None
    return timing.measured_ms[name] <= timing.most_ms * (1 + allowance(timing.noise))


def allowance(noise: float) -> float:
    """By what fraction a network may be measured above its limit and meet it.

    Args:
        noise: standard error of a time, as a fraction. A noisy machine excuses no more than `MOST_NOISE`.
    """
    return min(max(noise, LEAST_NOISE), MOST_NOISE)


def fastest_enough(timings: Mapping[str, Timing], ranked: Sequence[str]) -> tuple[str, list[str]]:
    """The best network that meets every limit that was measured, or else the best; and lines that say which and why.

    Args:
        timings: by the names of the limits in time.
        ranked: names of the networks, the best one first.
    """
    known = {limit: timing for limit, timing in timings.items() if timing.noise is not None}
    enough = [name for name in ranked if all(meets(timing, name) for timing in known.values())]
    best, chosen = ranked[0], enough[0] if enough else ranked[0]
    lines = []
    if chosen != best:
        over = {limit: timing for limit, timing in known.items() if not meets(timing, best)}
        took = " and ".join(f"{timing.measured_ms[best]:.3g} ms{_on(limit)}" for limit, timing in over.items())
        lines.append(f"{title(best)} is best and takes {took}; {title(chosen)} is the best that meets the budget")
    for limit, timing in known.items():
        met = "meets" if meets(timing, chosen) else "does not meet"
        lines.append(
            f"the {title(chosen)} network {met} its latency{_on(limit)}: {_measured(timing, chosen)}, "
            f"{timing.predicted_ms[chosen]:.3g} ms predicted, {timing.asked_ms:.3g} ms asked, "
            f"{timing.measured_ms['dense']:.3g} ms dense, noise {timing.noise:.1%}"
        )
    return chosen, lines


def _measured(timing: Timing, name: str) -> str:
    measured = timing.measured_ms[name]
    paced = f" ({measured / timing.pace:.3g} at the pace of the profile)" if timing.paced else ""
    return f"{measured:.3g} ms measured{paced}"


def _on(limit: str) -> str:
    """`` on NAME`` for the limit of a named device."""
    device = limit.partition(".")[2]
    return f" on {device}" if device else ""


def corrected(profile: LatencyProfile, timing: Timing) -> LatencyProfile:
    """A profile whose model is corrected by the median of measured over predicted times of networks that were too slow.

    Args:
        profile: the profile.
        timing: times that were measured, in which at least one network is too slow.
    """
    slow = [name for name in timing.measured_ms if name != "dense" and not meets(timing, name)]
    factor = statistics.median(timing.measured_ms[name] / timing.predicted_ms[name] for name in slow) / timing.pace
    model = profile.model.model_copy(update={"correction": profile.model.correction * factor})
    return profile.model_copy(update={"model": model})
