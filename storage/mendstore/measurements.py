"""Measurements as those see them who ask for them: put the networks, wait for the answer."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mendstore.blobs import Blobs
from mendstore.database import Database
from mendstore.queries.devices import DeviceWorker, device_workers
from mendstore.reading import Snapshot
from mendstore.records import Answer, Request

State = Literal["waiting", "leased", "done", "failed", "withdrawn"]


@dataclass(frozen=True)
class Asked:
    """A measurement that was asked for.

    Attributes:
        state: `waiting`, `leased` by a device worker, `done`, `failed`, or `withdrawn`.
        answer: the answer, once it is done.
        log: what the attempts left behind.
        served: whether a device worker is there that may measure it.
    """

    state: State
    answer: Answer | None
    log: str
    served: bool


class Measurements:
    """The measurements of a search. It need not be registered: they go by its name.

    The networks are blobs of the database for as long as a measurement is open, and are removed in the transaction that
    ends it. One that nobody looks at for ten minutes is not handed out, and `collect` removes its networks.

    Args:
        database: study database with the current schema.
        name: name of the search.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database, self.name, self._blobs = database, name, Blobs(database)

    def devices(self, setting: Mapping[str, Any]) -> list[DeviceWorker]:
        """Device workers that are alive, serve this name, and whose setting contains the one given."""
        found = self._database.run(lambda connection: device_workers(Snapshot(connection), self.name, dict(setting)))
        return [worker for worker in found if worker.alive]

    def ask(
        self,
        setting: Mapping[str, Any],
        networks: Mapping[str, bytes],
        dense: bytes,
        inputs: bytes,
        *,
        rounds: int,
        error: float | None = None,
        seed: int,
    ) -> int:
        """Ask for a measurement; returns its id.

        Args:
            setting: what the setting of the device worker has to contain, such as runtime, threads and device.
            networks: content of ONNX files by any name.
            dense: content of the dense network's.
            inputs: content of an .npz file: the arrays of a pass, in the order of the networks' inputs.
            rounds: turns of each network, at least.
            error: standard error of the times from which no turn is added; None for none.
            seed: seed of the order in which they take turns.

        Raises:
            StorageError: the database could not be reached, or a network is too large for it.
        """
        contents = {_digest(content): content for content in (dense, inputs, *networks.values())}
        request = Request(
            networks={name: _digest(content) for name, content in networks.items()},
            dense=_digest(dense),
            inputs=_digest(inputs),
            rounds=rounds,
            error=error,
            seed=seed,
        )
        token = uuid.uuid4().hex
        while True:
            for content in contents.values():
                self._blobs.put(content)
            values = (dict(setting), request.written(), request.digests)
            asked = self._database.call("mend_measure", token, self.name, *values)
            if asked is not None:  # else a measurement that ended meanwhile has removed what it had in common
                return int(asked)

    def look(self, ids: Sequence[int]) -> dict[int, Asked]:
        """How measurements stand, by id; they count as wanted from now on.

        Raises:
            StorageError: the database could not be reached.
        """
        rows = self._database.call("mend_measured", list(ids))
        return {row["measurement_id"]: _asked(row) for row in rows}

    def withdraw(self, ids: Sequence[int]) -> None:
        """Say that nobody waits for these any more; what is over stays.

        Raises:
            StorageError: the database cannot be reached.
        """
        self._database.call("mend_withdraw", list(ids), patient=False)


def _asked(row: Mapping[str, Any]) -> Asked:
    answer = None if row["answer"] is None else Answer.read(row["answer"])
    return Asked(row["state"], answer, row["log"] or "", row["served"])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
