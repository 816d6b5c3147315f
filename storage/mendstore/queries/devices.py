"""Device workers: who measures, for which searches, and how far they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from mendstore.processes import Process, surely_dead
from mendstore.reading import Row, Snapshot
from mendstore.records import DeviceSetting, RecordError

SHOWN = 100
OPEN = "d.ended_at IS NULL"
HEARD = "d.seen_at > clock_timestamp() - make_interval(secs => d.lease_s)"
"""Whether a device worker was heard within its lease, by the clock of the database."""
WANTED = "m.wanted_at > clock_timestamp() - interval '10 minutes'"
"""Whether a measurement that waits is handed out: somebody still looks at it."""

State = Literal["alive", "silent", "lost", "ended"]


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


@dataclass(frozen=True)
class DeviceStatus:
    """A device worker, and what it is at.

    Attributes:
        device_id: its id.
        name: the name that it serves.
        setting: what it says of itself; None where that cannot be read.
        host: name of its host.
        state: `alive`; `silent` without a heartbeat for a lease; `lost` where it is considered dead, or its process is
            known to have ended; `ended` by itself.
        seen_s: seconds since its last heartbeat.
        measurement: id of the measurement that it holds, or None.
        measured: name of the search that asked for that one, or None.
        held_s: seconds since it took that one, or None.
        done: measurements of the search that it has answered.
    """

    device_id: int
    name: str
    setting: DeviceSetting | None
    host: str
    state: State
    seen_s: float
    measurement: int | None
    measured: str | None
    held_s: float | None
    done: int


@dataclass(frozen=True)
class Devices:
    """The device workers that serve a search, and the measurements that it asked for.

    Attributes:
        workers: those alive first, then those that were heard last; `SHOWN` at the most.
        waiting: measurements that wait for a device worker.
        measuring: those that one holds, or held until it died.
        done: those that were answered.
        failed: those that could not be measured, or ended three device workers.
        withdrawn: those that nobody waits for any more.
    """

    workers: tuple[DeviceStatus, ...]
    waiting: int
    measuring: int
    done: int
    failed: int
    withdrawn: int

    def count(self, state: State) -> int:
        """How many of the device workers are in a state."""
        return sum(worker.state == state for worker in self.workers)


def device_workers(snapshot: Snapshot, name: str, setting: dict[str, Any]) -> list[DeviceWorker]:
    """Device workers that serve a name, and whose setting contains the one given; the first to join comes first."""
    if not snapshot.devices:
        return []
    rows = snapshot.all(
        f"""
        SELECT d.device_id, d.setting, d.host, d.boot, d.pid, {HEARD} AS heard FROM mend_devices d
        WHERE {OPEN} AND mend_serves(d.name, :name) AND d.setting @> CAST(:setting AS jsonb) ORDER BY d.device_id
        """,  # noqa: S608
        name=name,
        setting=json.dumps(setting),
    )
    return [_worker(row) for row in rows]


def devices(snapshot: Snapshot, name: str) -> Devices | None:
    """The device workers that serve a name, and its measurements; None where none has joined. Two round trips.

    Args:
        snapshot: the database.
        name: name of a search, which need not be registered.
    """
    if not snapshot.devices:
        return None
    rows = snapshot.all(
        f"""
        SELECT d.device_id, d.name, d.setting, d.host, d.boot, d.pid, {OPEN} AS open, {HEARD} AS heard, d.ending,
            extract(epoch FROM clock_timestamp() - d.seen_at) AS seen_s, h.measurement_id, h.name AS measured,
            extract(epoch FROM clock_timestamp() - h.leased_at) AS held_s,
            (SELECT count(*) FROM mend_measurements m
             WHERE m.name = :name AND m.device_id = d.device_id AND m.state = 'done') AS done
        FROM mend_devices d LEFT JOIN mend_measurements h ON h.device_id = d.device_id AND h.state = 'leased'
        WHERE mend_serves(d.name, :name) ORDER BY ({OPEN} AND {HEARD}) DESC, d.seen_at DESC LIMIT :limit
        """,  # noqa: S608
        name=name,
        limit=SHOWN,
    )
    if not rows:
        return None
    counts = snapshot.one(
        f"""
        SELECT count(*) FILTER (WHERE m.state = 'waiting' AND {WANTED}) AS waiting,
            count(*) FILTER (WHERE m.state = 'leased') AS measuring,
            count(*) FILTER (WHERE m.state = 'done') AS done, count(*) FILTER (WHERE m.state = 'failed') AS failed,
            count(*) FILTER (WHERE m.state = 'withdrawn' OR m.state = 'waiting' AND NOT {WANTED}) AS withdrawn
        FROM mend_measurements m WHERE m.name = :name
        """,  # noqa: S608
        name=name,
    )
    found = sorted((_status(row) for row in rows), key=lambda worker: worker.state != "alive")
    return Devices(workers=tuple(found), **counts)


def _worker(row: Row) -> DeviceWorker:
    process = Process(row["host"], row["boot"], row["pid"])
    return DeviceWorker(row["device_id"], row["setting"], process, row["heard"] and not surely_dead(process))


def _status(row: Row) -> DeviceStatus:
    try:
        setting = DeviceSetting.read(row["setting"])
    except RecordError:
        setting = None
    return DeviceStatus(
        device_id=row["device_id"],
        name=row["name"],
        setting=setting,
        host=row["host"],
        state=_state(row),
        seen_s=float(row["seen_s"]),
        measurement=row["measurement_id"],
        measured=row["measured"],
        held_s=None if row["held_s"] is None else float(row["held_s"]),
        done=row["done"],
    )


def _state(row: Row) -> State:
    if not row["open"]:
        return "lost" if (row["ending"] or "").startswith("lost") else "ended"
    if surely_dead(Process(row["host"], row["boot"], row["pid"])):
        return "lost"
    return "alive" if row["heard"] else "silent"
