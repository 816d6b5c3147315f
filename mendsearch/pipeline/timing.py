"""The finalists of a run, measured where its latency budget was profiled: here, or by a device worker."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, read_profile
from mendsearch.errors import UsageError
from mendsearch.files import write_text
from mendsearch.latency.measuring import Times, measure
from mendsearch.latency.runtimes import open_runtime
from mendsearch.latency.timers import setting_of
from mendsearch.mending.search import Search
from mendsearch.modes import to_network
from mendsearch.pipeline.budgets import CORRECTED
from mendsearch.pipeline.devices import measured_by_device
from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.run import Run
from mendstore.records import Timing, title

ROUNDS = 11
LEAST_NOISE, MOST_NOISE = 0.01, 0.03
"""Fraction by which a network may be above its budget, at least and at most; between, the standard error of a time."""


def timed(run: Run, search: Search, tuned: Mapping[str, Finetuned]) -> Timing | None:
    """Predicted and, on the profiled device, measured times of the finalists.

    Args:
        run: the run.
        search: the search.
        tuned: finalists by name.

    Returns:
        None where the budget has no `latency_ms`.
    """
    limits, given = search.problem.limits, run.spec.budget.profile
    asked = limits.absolute.get("latency_ms")
    if asked is None or given is None:
        return None
    profile, costs, widths = read_profile(given), limits.costs, search.problem.coupling.widths
    counts = {"dense": widths} | {name: row.counts for name, row in tuned.items()}
    predicted = {name: float(costs.costs(one, ["latency_ms"])["latency_ms"]) for name, one in counts.items()}
    timing = Timing(
        setting=profile.setting.model_dump(mode="json"),
        profile=profile.digest,
        error=profile.model.error,
        asked_ms=asked,
        predicted_ms=predicted,
        layers_ms={name: costs.layer_ms(one) for name, one in counts.items()},
        measured_ms={},
        noise=None,
    )
    inputs = run.inputs.splits.calibration
    items = inputs[torch.arange(profile.setting.batch) % len(inputs)]
    models = {"dense": search.problem.model} | {name: row.model for name, row in tuned.items()}
    times = _measured(run, profile, models, items)
    if times is None:
        return timing
    part = run.spec.budget.latency_part  # of what the dense network takes now, not in the minute of the profile
    asked = asked if part is None else part * times.ms["dense"]
    return timing.model_copy(update={"asked_ms": asked, "measured_ms": times.ms, "noise": times.error})


def meets(timing: Timing, name: str) -> bool | None:
    """Whether a network meets the budget by measurement, within the noise; None where nothing was measured."""
    if timing.noise is None:
        return None
    return timing.measured_ms[name] <= timing.asked_ms * (1 + allowance(timing.noise))


def allowance(noise: float) -> float:
    """By what fraction a network may be measured above its budget and meet it.

    Args:
        noise: standard error of a time, as a fraction. A noisy machine excuses no more than `MOST_NOISE`.
    """
    return min(max(noise, LEAST_NOISE), MOST_NOISE)


def fastest_enough(run: Run, timing: Timing, tuned: Mapping[str, Finetuned], best: str) -> str:
    """The finalist to export: the best one, or else the best of those that meet the budget; a line says which and why.

    Args:
        run: the run.
        timing: times of the finalists.
        tuned: finalists by name.
        best: name of the one that is best whatever it takes.
    """
    if timing.noise is None:
        return best
    enough = [name for name in tuned if meets(timing, name)]
    chosen = best if best in enough or not enough else max(enough, key=lambda name: _worth(tuned[name]))
    if best not in enough:
        _correct(run, timing)
    if chosen != best:
        took = f"{title(best)} is best and takes {timing.measured_ms[best]:.3g} ms"
        run.reporter.say(f"{took}; {title(chosen)} is the best that meets the budget")
    measured = timing.measured_ms[chosen]
    told = f"{measured:.3g} ms measured, {timing.predicted_ms[chosen]:.3g} ms predicted, {timing.asked_ms:.3g} ms asked"
    run.reporter.say(
        f"the exported network {'meets' if enough else 'does not meet'} its latency: {told}, noise {timing.noise:.1%}"
    )
    return chosen


def _correct(run: Run, timing: Timing) -> None:
    """Write the profile with its model corrected by the finalists, for a search that goes on from here."""
    assert run.spec.budget.profile is not None  # it predicted the times
    profile = read_profile(run.spec.budget.profile)
    pruned = timing.measured_ms.keys() - {"dense"}
    factor = statistics.median(timing.measured_ms[name] / timing.predicted_ms[name] for name in pruned)
    if run.spec.budget.latency_part is not None:
        factor *= profile.dense_ms / timing.measured_ms["dense"]
    model = profile.model.model_copy(update={"correction": profile.model.correction * factor})
    write_text(run.folder.path / CORRECTED, profile.model_copy(update={"model": model}).model_dump_json(indent=2))


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
