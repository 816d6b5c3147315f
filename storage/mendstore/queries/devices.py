"""Device workers: who measures, and for which searches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mendstore.processes import Process, surely_dead
from mendstore.reading import Row, Snapshot


@dataclass(frozen=True)
class DeviceWorker:
    """A device worker that has not said that it ended.

    Attributes:
        device_id: its id.
        setting: its runtime, device, threads, dtype and versions.
        process: its process.
        alive: whether it was heard within its lease, and its process is not known to have ended.
    """

    device_id: int
    setting: dict[str, Any]
    process: Process
    alive: bool


def device_workers(snapshot: Snapshot, name: str, setting: dict[str, Any]) -> list[DeviceWorker]:
    """Device workers that serve a name, and whose setting contains the one given; the first to join comes first."""
    if not snapshot.devices:
        return []
    rows = snapshot.all(
        """
        SELECT device_id, setting, host, boot, pid,
            seen_at > clock_timestamp() - make_interval(secs => lease_s) AS heard
        FROM mend_devices
        WHERE ended_at IS NULL AND mend_serves(name, :name) AND setting @> CAST(:setting AS jsonb) ORDER BY device_id
        """,
        name=name,
        setting=json.dumps(setting),
    )
    return [_worker(row) for row in rows]


def _worker(row: Row) -> DeviceWorker:
    process = Process(row["host"], row["boot"], row["pid"])
    return DeviceWorker(row["device_id"], row["setting"], process, row["heard"] and not surely_dead(process))
