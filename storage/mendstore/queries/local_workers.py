"""The workers that a run has on its own machine, as it says itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mendstore.processes import Process, surely_dead
from mendstore.reading import Snapshot

LOCAL_WORKERS, ASKED = "local_workers", "local_workers_asked"
"""Attributes of the study: what the run says, and what people ask for."""


@dataclass(frozen=True)
class LocalWorkers:
    """The local workers of a run.

    Attributes:
        number: how many it has.
        process: process of the run.
    """

    number: int
    process: Process


def local_workers_of(snapshot: Snapshot, study_id: int) -> LocalWorkers | None:
    """The local workers of a search; None where no run has any, or its process is known to have ended."""
    return read_local_workers(_attribute(snapshot, study_id, LOCAL_WORKERS))


def asked_for(snapshot: Snapshot, study_id: int) -> int | None:
    """How many local workers the run of a search is asked to have, or None."""
    found = _attribute(snapshot, study_id, ASKED)
    return int(found) if found is not None and found.isdigit() and int(found) else None


def read_local_workers(text: str | None) -> LocalWorkers | None:
    """The local workers that an attribute's JSON names; None where there are none, or it cannot be read."""
    try:
        found = json.loads(text or "null")
        made = LocalWorkers(int(found["number"]), Process(**found["process"]))
        return None if surely_dead(made.process) else made
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):  # anybody may write it
        return None


def _attribute(snapshot: Snapshot, study_id: int, key: str) -> str | None:
    row = snapshot.first(
        "SELECT value_json FROM study_user_attributes WHERE study_id = :study AND key = :key", study=study_id, key=key
    )
    return None if row is None else row["value_json"]
