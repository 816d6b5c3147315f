"""Measurements as a device worker sees them: claim one, answer it once, and lose nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mendstore.database import Database
from mendstore.processes import surely_dead, this_process
from mendstore.queries.devices import device_workers
from mendstore.reading import Snapshot
from mendstore.records import Answer, RecordError, Request
from mendstore.spool import Spool, folder_name

LEASE_S = 60.0


@dataclass(frozen=True)
class Measurement:
    """A measurement that this device worker holds.

    Attributes:
        measurement_id: its id, the same for all attempts.
        attempt: number of the attempt, from 1.
        request: what is to be measured.
    """

    measurement_id: int
    attempt: int
    request: Request


class Device:
    """One device worker of a name.

    An answer is recorded once, even if it is sent several times or by several device workers. When the database cannot
    be reached, calls wait as `Database` does, and an answer is kept on disk meanwhile: the next device worker of this
    name on the node sends what it finds there.

    Args:
        database: database that the worker shares with its heartbeat.
        name: name of the search. It also serves names that begin with it and a hyphen.
        setting: runtime, device, threads, dtype and versions.
        spool: folder on this node for answers that cannot be written to the database.
        lease_s: seconds without a heartbeat before this worker is considered dead.
    """

    def __init__(
        self, database: Database, name: str, setting: Mapping[str, Any], spool: Path, lease_s: float = LEASE_S
    ) -> None:
        self._database, self.lease_s = database, lease_s
        own = this_process()
        for other in database.run(lambda connection: device_workers(Snapshot(connection), name, {})):
            if surely_dead(other.process):
                database.call("mend_device_leave", other.device_id, "lost: its process has ended", True)
        joined = database.call("mend_device_join", name, dict(setting), lease_s, own.host, own.boot, own.pid)
        self.device_id = int(joined)
        self._spool = Spool(spool / folder_name(database.engine.url, f"device/{name}"))
        with self._spool.left_behind() as answers:
            for answer in answers:
                self._end(answer["measurement_id"], "done", answer["answer"])

    def claim(self) -> Measurement | None:
        """Claim a measurement; None if none waits for this device.

        Raises:
            StorageError: the database could not be reached.
        """
        claimed = self._database.call("mend_device_claim", self.device_id)
        if claimed is None:
            return None
        number = claimed["measurement_id"]
        try:
            return Measurement(number, claimed["attempt"], Request.read(claimed["request"]))
        except RecordError as error:
            self._end(number, "failed", None, f"the request cannot be read: {error}")
            return None

    def answer(self, measurement: Measurement, answer: Answer) -> str:
        """Record an answer; returns `recorded`, `late` if the lease was lost, or `dropped` if there is one already.

        Raises:
            StorageError: the database could not be reached; the answer is on disk.
        """
        number, written = measurement.measurement_id, answer.written()
        kept = {"measurement_id": number, "answer": written}
        how = self._end(number, "done", written, on_outage=lambda: self._spool.add(number, kept))
        self._spool.remove(number)
        return how

    def fail(self, measurement: Measurement, reason: str) -> None:
        """Say that this device cannot measure it; nobody tries again.

        Raises:
            StorageError: the database could not be reached.
        """
        self._end(measurement.measurement_id, "failed", None, reason)

    def renew(self) -> bool:
        """Renew the lease; nothing asks a device worker to end but its own process.

        Raises:
            StorageError: the database cannot be reached.
        """
        self._database.call("mend_device_renew", self.device_id, patient=False)
        return False

    def leave(self, ending: str, log: str = "", *, counts: bool = False) -> None:
        """End the device worker and give back what it holds.

        Args:
            ending: how it ends, for people to read.
            log: log of the measurement that it holds.
            counts: whether the attempt counts, since the measurement may have ended the worker.

        Raises:
            StorageError: the database cannot be reached; the lease expires by itself.
        """
        said = f"{ending}\n{log}" if log else ending
        self._database.call("mend_device_leave", self.device_id, said, counts, patient=False)

    def _end(
        self,
        number: int,
        state: Literal["done", "failed"],
        answer: dict[str, Any] | None,
        log: str | None = None,
        on_outage: Callable[[], None] = lambda: None,
    ) -> str:
        values = (number, self.device_id, state, answer, log)
        how: str = self._database.call("mend_end_measurement", *values, on_outage=on_outage)
        return how
