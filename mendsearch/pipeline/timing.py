"""The finalists of a run, measured where its latency budgets were profiled: here, or by device workers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile, read_profile, read_profiles
from mendsearch.budget.profile import key_of
from mendsearch.coupling.copying import dtype_of
from mendsearch.files import write_text
from mendsearch.latency.finalists import (
    corrected,
    drift,
    fastest_enough,
    measured_here,
    meets,
    predicted,
    with_times,
)
from mendsearch.latency.measuring import measure
from mendsearch.latency.runtimes.eager import Eager
from mendsearch.mending.search import Search
from mendsearch.pipeline.budgets import corrected_file
from mendsearch.pipeline.devices import measured_by_device
from mendsearch.pipeline.finetuning import Finetuned, worth
from mendsearch.pipeline.run import Run
from mendstore.records import Timing

FEW = 5
"""Turns of each network for a table."""


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
    counts = {"dense": search.problem.coupling.widths} | {name: row.counts for name, row in tuned.items()}
    timing = predicted(search.problem.limits, limit, profile, counts)
    inputs = run.inputs.splits.calibration
    items = inputs[torch.arange(profile.setting.batch) % len(inputs)]
    models = {"dense": search.problem.model} | {name: row.model for name, row in tuned.items()}
    times = measured_here(profile, models, items, run.spec.seed)
    if isinstance(times, str):
        elsewhere = measured_by_device(run, profile.setting, models, items)
        if isinstance(elsewhere, str):
            run.reporter.say(f"times of the finalists are predicted, not measured: {times}; {elsewhere}")
            return timing
        times = elsewhere
    if line := drift(profile, times, limit):
        run.reporter.say(line)
    return with_times(timing, profile, times)


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


def settled(run: Run, timings: Mapping[str, Timing], tuned: Mapping[str, Finetuned], best: str) -> str:
    """The finalist to export: the best one, or else the best of those that meet the budget; lines say which and why.

    Where the best one does not meet a limit, the profile is written with its model corrected, for a search that goes on
    from here.

    Args:
        run: the run.
        timings: times of the finalists, by the names of the limits in time.
        tuned: finalists by name.
        best: name of the one that is best whatever it takes.
    """
    ranked = sorted(tuned, key=lambda name: (name == best, worth(tuned[name])), reverse=True)
    chosen, lines = fastest_enough(timings, ranked)
    for limit, timing in timings.items():
        if meets(timing, best) is False:
            given = run.spec.budget.latencies[limit]
            profile = corrected(read_profile(given.profile, key_of(limit)), timing)
            write_text(run.folder.path / corrected_file(limit), profile.model_dump_json(indent=2))
    for line in lines:
        run.reporter.say(line)
    return chosen
