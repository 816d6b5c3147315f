"""The finalists of a run, measured where its latency budgets were profiled: here, or by device workers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, read_profile, read_profiles
from mendsearch.budget.profile import key_of
from mendsearch.coupling.copying import dtype_of
from mendsearch.errors import UsageError
from mendsearch.files import write_text
from mendsearch.latency.measuring import Times, measure
from mendsearch.latency.runtimes import open_runtime
from mendsearch.latency.runtimes.eager import Eager
from mendsearch.latency.timers import setting_of
from mendsearch.mending.search import Search
from mendsearch.modes import to_network
from mendsearch.pipeline.budgets import corrected_file
from mendsearch.pipeline.devices import measured_by_device
from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.run import Run
from mendstore.records import Timing, title

ROUNDS = 11
FEW = 5
"""Turns of each network for a table."""
LEAST_NOISE, MOST_NOISE = 0.01, 0.03
"""Fraction by which a network may be above its budget, at least and at most; between, the standard error of a time."""


def timed(run: Run, search: Search, tuned: Mapping[str, Finetuned]) -> dict[str, Timing]:
    """Predicted and, on each profiled device that is there, measured times of the finalists.

    Args:
        run: the run.
        search: the search.
        tuned: finalists by name.

    Returns:
        by the names of the limits in time; none where the budget has none.
    """
    profiles = read_profiles(run.spec.budget)
    return {limit: _timed(run, search, tuned, limit, profile) for limit, profile in profiles.items()}


def _timed(run: Run, search: Search, tuned: Mapping[str, Finetuned], limit: str, profile: LatencyProfile) -> Timing:
    """The same on one device."""
    limits = search.problem.limits
    costs, asked = limits.costs, limits.absolute[limit]
    counts = {"dense": search.problem.coupling.widths} | {name: row.counts for name, row in tuned.items()}
    predicted = {name: float(costs.costs(one, [limit])[limit]) for name, one in counts.items()}
    timing = Timing(
        setting=profile.setting.model_dump(mode="json"),
        profile=profile.digest,
        error=profile.model.error,
        asked_ms=asked,
        predicted_ms=predicted,
        layers_ms={name: costs.layer_ms(one, limit) for name, one in counts.items()},
        measured_ms={},
        noise=None,
    )
    inputs = run.inputs.splits.calibration
    items = inputs[torch.arange(profile.setting.batch) % len(inputs)]
    models = {"dense": search.problem.model} | {name: row.model for name, row in tuned.items()}
    times = _measured(run, profile, models, items)
    if times is None:
        return timing
    part = run.spec.budget.latencies[limit].part
    asked = asked if part is None else part * times.ms["dense"]  # as it is now, not in the minute of the profile
    return timing.model_copy(update={"asked_ms": asked, "measured_ms": times.ms, "noise": times.error})


def latencies_ms(models: Mapping[str, nn.Module], item: Batch) -> dict[str, float]:
    """Median milliseconds of a pass of one item in PyTorch, on this machine, for tables; by name.

    Args:
        models: networks by name, `dense` among them.
        item: inputs of the pass.
    """
    runtime = Eager(torch.get_num_threads(), dtype_of(models["dense"]))
    passes = {name: runtime.prepare(model, item) for name, model in models.items()}
    times = measure(passes, passes["dense"], runtime, rounds=FEW)
    return {name: round(ms, 4) for name, ms in times.ms.items()}


def meets(timing: Timing, name: str) -> bool | None:
    """Whether a network meets a limit in time by measurement, within the noise; None where nothing was measured."""
    if timing.noise is None:
        return None
    return timing.measured_ms[name] <= timing.asked_ms * (1 + allowance(timing.noise))


def allowance(noise: float) -> float:
    """By what fraction a network may be measured above its budget and meet it.

    Args:
        noise: standard error of a time, as a fraction. A noisy machine excuses no more than `MOST_NOISE`.
    """
    return min(max(noise, LEAST_NOISE), MOST_NOISE)


def fastest_enough(run: Run, timings: Mapping[str, Timing], tuned: Mapping[str, Finetuned], best: str) -> str:
    """The finalist to export: the best one, or else the best of those that meet the budget; lines say which and why.

    Args:
        run: the run.
        timings: times of the finalists, by the names of the limits in time.
        tuned: finalists by name.
        best: name of the one that is best whatever it takes.
    """
    known = {limit: timing for limit, timing in timings.items() if timing.noise is not None}
    if not known:
        return best
    enough = [name for name in tuned if all(meets(timing, name) for timing in known.values())]
    chosen = best if best in enough or not enough else max(enough, key=lambda name: _worth(tuned[name]))
    for limit, timing in known.items():
        if not meets(timing, best):
            _correct(run, limit, timing)
    if chosen != best:
        over = {limit: timing for limit, timing in known.items() if not meets(timing, best)}
        took = " and ".join(f"{timing.measured_ms[best]:.3g} ms{_on(limit)}" for limit, timing in over.items())
        run.reporter.say(f"{title(best)} is best and takes {took}; {title(chosen)} is the best that meets the budget")
    for limit, timing in known.items():
        told = (
            f"{timing.measured_ms[chosen]:.3g} ms measured, {timing.predicted_ms[chosen]:.3g} ms predicted, "
            f"{timing.asked_ms:.3g} ms asked, noise {timing.noise:.1%}"
        )
        met = "meets" if meets(timing, chosen) else "does not meet"
        run.reporter.say(f"the exported network {met} its latency{_on(limit)}: {told}")
    return chosen


def _on(limit: str) -> str:
    """`` on NAME`` for the limit of a named device."""
    device = limit.partition(".")[2]
    return f" on {device}" if device else ""


def _correct(run: Run, limit: str, timing: Timing) -> None:
    """Write a profile with its model corrected by the finalists, for a search that goes on from here."""
    given = run.spec.budget.latencies[limit]
    profile = read_profile(given.profile, key_of(limit))
    pruned = timing.measured_ms.keys() - {"dense"}
    factor = statistics.median(timing.measured_ms[name] / timing.predicted_ms[name] for name in pruned)
    if given.part is not None:
        factor *= profile.dense_ms / timing.measured_ms["dense"]
    model = profile.model.model_copy(update={"correction": profile.model.correction * factor})
    text = profile.model_copy(update={"model": model}).model_dump_json(indent=2)
    write_text(run.folder.path / corrected_file(limit), text)


def _worth(row: Finetuned) -> tuple[float, float, float]:
    """What finalists are compared by: the validation split, how much fine-tuning they had, and the score."""
    return row.validation[-1], row.part, row.score


def _measured(run: Run, profile: LatencyProfile, models: Mapping[str, nn.Module], items: Batch) -> Times | None:
    """Times of networks on the device of a profile: here if it is this one, else by a device worker if one is there.

    Where there is neither, a line says why, and what to start.
    """
    setting, rounds, seed = profile.setting, ROUNDS, run.spec.seed
    try:
        runtime = open_runtime(setting.runtime, setting.threads, setting.dtype)
        differing = setting.differing(setting_of(runtime, setting.batch))
        why = f"the profile has {differing}" if differing else None
    except UsageError as error:
        why = str(error)
    if why is None:
        passes = {name: runtime.prepare(model, to_network(items, model)) for name, model in models.items()}
        return measure(passes, passes["dense"], runtime, rounds=rounds, seed=seed)
    times = measured_by_device(run, setting, models, items, rounds)
    if isinstance(times, str):
        run.reporter.say(f"times of the finalists are predicted, not measured: {why}; {times}")
        return None
    return times
