"""A search as workers need it: its registration, what it is made from, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mendstore.queries.best import best_scores
from mendstore.queries.pace import done_of
from mendstore.reading import Snapshot


@dataclass(frozen=True)
class Registered:
    """A search as the database holds it.

    Attributes:
        study_id: id of its Optuna study.
        name: name of its Optuna study.
        trials: N, how many trials are to end with a score.
        fingerprint: equal for searches whose scores mean the same.
        lease_s: seconds that a claim lasts without being renewed.
        stopping: whether its workers are asked to end.
        spec: what it was made from.
        versions: versions of the creator's packages and code.
        blobs: digests of what a worker needs, by role.
        created_at: when it was registered, in UTC, by the database's clock. It tells a search from another of the same
            name, and stays the same in a copy of the database.
    """

    study_id: int
    name: str
    trials: int
    fingerprint: str
    lease_s: float
    stopping: bool
    spec: dict[str, Any]
    versions: dict[str, str]
    blobs: dict[str, str]
    created_at: datetime


_SEARCHES = """
    SELECT m.study_id, s.study_name AS name, m.trials, m.fingerprint, m.lease_s, m.stopping, m.spec, m.versions,
        m.blobs, timezone('utc', m.created_at) AS created_at
    FROM mend_searches m JOIN studies s USING (study_id)
"""


def registered(snapshot: Snapshot, name: str) -> Registered | None:
    """The search of that name, or None."""
    row = snapshot.first(f"{_SEARCHES} WHERE s.study_name = :name", name=name)
    return None if row is None else Registered(**row)


def alike(snapshot: Snapshot, fingerprint: str) -> list[Registered]:
    """Searches of that fingerprint, the latest first."""
    rows = snapshot.all(
        f"{_SEARCHES} WHERE m.fingerprint = :fingerprint ORDER BY m.created_at DESC", fingerprint=fingerprint
    )
    return [Registered(**row) for row in rows]


def under_way_s(snapshot: Snapshot, study_id: int) -> float | None:
    """Seconds since the first trial of a search began, by the database's clock; None before."""
    row = snapshot.one(
        "SELECT extract(epoch FROM timezone('utc', clock_timestamp()) - min(t.datetime_start)) AS since"
        " FROM mend_items i JOIN trials t USING (trial_id) WHERE i.study_id = :study",
        study=study_id,
    )
    return None if row["since"] is None else float(row["since"])


def has_attribute(snapshot: Snapshot, study_id: int, key: str) -> bool:
    """Whether a study attribute is set."""
    row = snapshot.first(
        "SELECT 1 AS found FROM study_user_attributes WHERE study_id = :study AND key = :key", study=study_id, key=key
    )
    return row is not None


def progress(snapshot: Snapshot, study_id: int) -> tuple[int, float | None]:
    """How many trials of a search ended with a score, and the best score of a complete one; two round trips."""
    return done_of(snapshot, study_id), best_scores(snapshot, [study_id]).get(study_id)
