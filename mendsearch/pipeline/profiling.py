"""The latency profile of the network of a spec, or of one by its name; measured here, or by a device worker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mendstore
from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile
from mendsearch.config import Spec, load_spec
from mendsearch.errors import UsageError
from mendsearch.files import write_json
from mendsearch.importing import is_import_path
from mendsearch.latency.asking import DeviceTimer, find_device, wanted
from mendsearch.latency.calling import items_of, profile
from mendsearch.latency.profiling import profile_network
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.pipeline.inputs import channels_of
from mendsearch.pipeline.inspection import drawn
from mendsearch.progress import Reporter
from mendsearch.study.worker import open_database
from mendsearch.training.sources import open_source
from mendsearch.training.splits import split


def profile_named(
    what: str, forms: Sequence[str], exclude: Sequence[str], overrides: Sequence[str], **settings: Any
) -> LatencyProfile:
    """As `mendsearch.profile`, for a spec file or the name of a network.

    Args:
        what: path of a spec file, or name of a network.
        forms: of a named network's inputs, as `drawn` reads them.
        exclude: of a named network, layers that keep all their output channels.
        overrides: keys of the spec, as `key=value`.
        settings: of `mendsearch.profile`.

    Raises:
        UsageError: there is no such spec or network, or it cannot be measured.
    """
    torch.manual_seed(0)
    if _is_spec(what):
        if forms or exclude:
            raise UsageError("profile: got --input or --exclude with a spec, which says both; try --set")
        spec, model, inputs = _of_spec(what, overrides)
        return profile(model, inputs, exclude=spec.prune.exclude, **settings)
    inputs = drawn(forms or ["3x224x224"])
    model = build_model(what, complete_kwargs(what, {}, **channels_of(inputs)))
    return profile(model.eval(), inputs, exclude=exclude, **settings)


def profile_on_device(
    what: str,
    overrides: Sequence[str],
    storage: str,
    *,
    runtime: str,
    batch: int,
    threads: int,
    minutes: float,
    target: float,
    wait_minutes: float,
    out: Path,
    reporter: Reporter,
) -> LatencyProfile:
    """The latency profile of a spec's network on another machine: built and fitted here, measured by a device worker.

    Args:
        what: path of a spec file; the device worker serves its name.
        overrides: keys of the spec, as `key=value`.
        storage: URL of the study database.
        runtime: of the device worker: `onnxruntime`, or `onnxruntime:PROVIDER`.
        batch: items of a pass.
        threads: threads of a pass on the device.
        minutes: time for it, at most, once a device worker is there.
        target: mean relative error on unseen candidates at which it stops before.
        wait_minutes: time to wait while no device worker is there.
        out: file to write.
        reporter: where progress goes.

    Raises:
        UsageError: there is no such spec, it cannot be exported, or the device is too noisy.
        MendsearchError: no device worker has come, or it cannot measure the network.
        mendstore.StorageError: the database cannot be reached.
    """
    torch.manual_seed(0)
    if not _is_spec(what):
        raise UsageError(f"profile: got {what!r} with --device, expected a spec, whose name the device worker serves")
    asked, patience_s = wanted(runtime, threads), 60 * wait_minutes
    spec, model, inputs = _of_spec(what, overrides)
    items = items_of(model, inputs, batch)
    mendstore.upgrade(storage)
    with closing(open_database(storage, spec.fleet, reporter)) as database:
        measurements = mendstore.Measurements(database, spec.name)
        device = find_device(measurements, asked, storage, patience_s, reporter.say)
        reporter.say(f"measured by the device worker on {device}")
        timer = DeviceTimer(measurements, wanted(runtime, threads, device), model, items, patience_s)
        found = profile_network(
            model,
            items,
            timer,
            exclude=spec.prune.exclude,
            seconds=60 * minutes,
            target=target,
            seed=0,
            reporter=reporter,
        )
    write_json(out, found.model_dump(mode="json"))
    return found


def _is_spec(what: str) -> bool:
    path = Path(what)
    return path.suffix == ".toml" or (path.is_file() and not is_import_path(what))


def _of_spec(what: str, overrides: Sequence[str]) -> tuple[Spec, nn.Module, Batch]:
    """A spec without its budget, its network in evaluation mode, and two calibration items."""
    spec = load_spec(Path(what), (*overrides, "budget={macs=0.5}"))  # its own may name the file that comes of this
    splits = split(open_source(spec.data, spec.seed), spec.data, spec.seed)
    inputs: Batch = splits.calibration
    of_data = {"num_classes": splits.num_classes} | channels_of(inputs)
    model = build_model(spec.model.name, complete_kwargs(spec.model.name, spec.model.kwargs, **of_data))
    return spec, model.eval(), inputs[:2]
