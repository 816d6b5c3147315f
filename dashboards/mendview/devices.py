"""The device workers of a search in words: who measures, what each is at, and how many measurements there are."""

from __future__ import annotations

from typing import Any

from mendstore.queries.devices import Devices, DeviceStatus
from mendview.words import plural, span

COUNTED = ("waiting", "measuring", "done", "failed", "withdrawn")


def lines(devices: Devices) -> list[str]:
    """A line for each device worker that may measure, or for the last one; how many more there were; measurements."""
    shown = [worker for worker in devices.workers if worker.state in ("alive", "silent")] or [devices.workers[0]]
    rest = [worker.state for worker in devices.workers if worker not in shown]
    more = ", ".join(f"{rest.count(state)} {state}" for state in ("lost", "ended") if state in rest)
    return [*map(line, shown), *([f"earlier ones: {more}"] if more else []), f"measurements: {counts(devices)}"]


def line(worker: DeviceStatus) -> str:
    """`a board, onnxruntime, 1 thread: alive, heard now, at measurement 3 for 2.1 s`."""
    return f"{called(worker)}: {worker.state}, heard {heard(worker)}{', ' + at(worker) if at(worker) else ''}"


def called(worker: DeviceStatus) -> str:
    """Device, runtime and threads of a device worker."""
    setting = worker.setting
    if setting is None:
        return f"a device worker on {worker.host}, whose setting cannot be read"
    return f"{setting.device}, {setting.runtime}, {plural(setting.threads, 'thread')}"


def heard(worker: DeviceStatus) -> str:
    """When it was heard last."""
    return f"{span(worker.seen_s)} ago" if worker.seen_s >= 1 else "now"


def at(worker: DeviceStatus) -> str:
    """What it is at: a measurement, and for which search if that is another; "" for one that is gone and holds none."""
    if worker.measurement is None:
        return "waiting for a measurement" if worker.state == "alive" else ""
    return f"at measurement {worker.measurement} of `{worker.measured}` for {span(worker.held_s)}"


def counts(devices: Devices) -> str:
    """How many measurements wait, are being measured, are done, have failed, and were withdrawn."""
    found = [f"{number:,} {state}" for state in COUNTED if (number := getattr(devices, state))]
    return ", ".join(found) or "none asked for"


def summary(devices: Devices | None) -> dict[str, Any] | None:
    """The same as plain values."""
    if devices is None:
        return None
    return {
        "workers": [_summary(worker) for worker in devices.workers],
        "measurements": {state: getattr(devices, state) for state in COUNTED},
    }


def _summary(worker: DeviceStatus) -> dict[str, Any]:
    setting = worker.setting
    return {
        "device": None if setting is None else setting.device,
        "runtime": None if setting is None else setting.runtime,
        "threads": None if setting is None else setting.threads,
        "host": worker.host, "serves": worker.name, "state": worker.state, "seen_s": round(worker.seen_s, 1),
        "measurement": worker.measurement, "of": worker.measured, "done": worker.done,
    }  # fmt: skip
