"""The finalists of a run, measured where its latency budget was profiled."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mendsearch.budget import LatencyProfile, read_profile
from mendsearch.errors import UsageError
from mendsearch.latency.measuring import measure
from mendsearch.latency.profiling import setting_of
from mendsearch.latency.runtimes import Runtime, open_runtime
from mendsearch.mending.search import Search
from mendsearch.modes import to_network
from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.run import Run
from mendstore.records.result import Timing

ROUNDS = 7
LEAST_NOISE = 0.01
"""Noise below which a machine is not trusted to be."""


def timed(run: Run, search: Search, tuned: Mapping[str, Finetuned], chosen: str) -> Timing | None:
    """Predicted and, on the profiled device, measured times of the finalists; and a line that says if they fit.

    Args:
        run: the run.
        search: the search.
        tuned: finalists by name.
        chosen: name of the one that is exported.

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
    )
    runtime = _runtime(run, profile)
    if runtime is None:
        return timing
    inputs = run.inputs.splits.calibration
    items = inputs[torch.arange(profile.setting.batch) % len(inputs)]
    models = {"dense": search.problem.model} | {name: row.model for name, row in tuned.items()}
    passes = {name: runtime.prepare(model, to_network(items, model)) for name, model in models.items()}
    times = measure(passes, passes["dense"], runtime, rounds=ROUNDS, seed=run.spec.seed)
    measured, noise = times.ms[chosen], max(times.noise, LEAST_NOISE)
    met = measured <= asked * (1 + noise)
    said = f"{measured:.3g} ms measured, {predicted[chosen]:.3g} ms predicted, {asked:.3g} ms asked, noise {noise:.1%}"
    advice = "" if met else f"; ask for {asked * asked / measured:.3g} ms, or make a new profile"
    run.reporter.say(f"the exported network {'meets' if met else 'does not meet'} its latency: {said}{advice}")
    return timing.model_copy(update={"measured_ms": times.ms, "noise": times.noise, "met": met})


def _runtime(run: Run, profile: LatencyProfile) -> Runtime | None:
    """The runtime of a profile, if this is its device; None, and a line that says why, if not."""
    setting = profile.setting
    try:
        runtime = open_runtime(setting.runtime, setting.threads, setting.dtype)
    except UsageError as error:
        run.reporter.say(f"times of the finalists are predicted, not measured: {error}")
        return None
    if differing := setting.differing(setting_of(runtime, setting.batch)):
        run.reporter.say(f"times of the finalists are predicted, not measured: the profile has {differing}")
        return None
    return runtime
