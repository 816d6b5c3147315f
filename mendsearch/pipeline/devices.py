"""Finalists and profiles measured by a device worker, where the device is another machine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from torch import nn

import mendstore
from mendsearch.batches import Batch
from mendsearch.budget.profile import Setting
from mendsearch.errors import MendsearchError
from mendsearch.latency.asking import DeviceTimer, wanted
from mendsearch.latency.finalists import LEAST_NOISE, ROUNDS
from mendsearch.latency.measuring import Times
from mendsearch.latency.programs import is_program
from mendsearch.pipeline.run import Run
from mendsearch.study.worker import open_database
from mendstore.records import RunResult

PATIENCE_S = 120.0
"""Seconds without the device worker after which finalists stay predicted."""


def measured_by_device(run: Run, setting: Setting, models: Mapping[str, nn.Module], items: Batch) -> Times | str:
    """Times of the finalists by a device worker of the run's search; or why there are none, and what to do.

    Args:
        run: the run.
        setting: setting of its latency profile.
        models: networks by name, `dense` among them.
        items: inputs of a pass.

    Raises:
        mendstore.StorageError: the database cannot be reached.
    """
    if not is_program(setting.runtime):
        return f"a device worker has no runtime {setting.runtime}"
    asked = wanted(setting.runtime, setting.threads, setting.device)
    with closing(open_database(run.storage, run.spec.fleet, run.reporter, run.stopping.event)) as database:
        measurements = mendstore.Measurements(database, run.spec.name)
        if not measurements.devices(asked):
            start = mendstore.device_command(run.storage, run.spec.name, asked)
            again = mendstore.command("run", None, str(run.folder.path))
            return f"start `{start}` on that device, then go on here: {again}"
        run.reporter.say(f"the finalists are measured by the device worker on {setting.device}")
        try:
            timer = DeviceTimer(measurements, asked, models["dense"], items, PATIENCE_S)
            return timer.together(models, rounds=ROUNDS, error=LEAST_NOISE, seed=run.spec.seed)
        except MendsearchError as error:
            return str(error)


def measurable(result: Mapping[str, Any], name: str, storage: str) -> bool:
    """Whether the finalists of a finished run were not measured, and a device worker is known to be there now that can.

    Args:
        result: the result, as `result.json` holds it.
        name: name of the search.
        storage: URL of the study database; a finished run is shown without it, too.
    """
    unmeasured = [timing for timing in RunResult.read(result).timings.values() if timing.noise is None]
    settings = [Setting.model_validate(timing.setting) for timing in unmeasured]
    asked = [wanted(one.runtime, one.threads, one.device) for one in settings if is_program(one.runtime)]
    if not asked:
        return False
    with suppress(mendstore.StorageError), closing(mendstore.Database(storage)) as database:
        measurements = mendstore.Measurements(database, name)
        return any(measurements.devices(setting) for setting in asked)
    return False
