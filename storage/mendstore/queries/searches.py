"""Which searches a database holds, and one of them with all that does not change from trial to trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from mendstore.queries.best import best_scores
from mendstore.queries.local_workers import LOCAL_WORKERS, LocalWorkers, read_local_workers
from mendstore.queries.workers import alive_by_study
from mendstore.reading import Row, Snapshot
from mendstore.records import RESULTS, STRUCTURE, Record, RecordError, RunResult, Structure

LISTED = 200
LEASE_S = 60.0
"""Seconds without a heartbeat before a worker is considered dead, where a study has no searches' table."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Listed:
    """A search, or a study of stock Optuna, in a list.

    Attributes:
        study_id: id of the Optuna study.
        name: name of the Optuna study.
        wanted: trials that the search is to have, or None for a study of stock Optuna.
        done: trials that ended with a score, early or not.
        failed: attempts that failed.
        best: score of the best trial.
        alive: workers alive.
        last: when a trial began or ended last, in UTC.
    """

    study_id: int
    name: str
    wanted: int | None
    done: int
    failed: int
    best: float | None
    alive: int
    last: datetime | None


@dataclass(frozen=True)
class Search:
    """One search, or a study of stock Optuna.

    Attributes:
        study_id: id of the Optuna study.
        name: name of the Optuna study.
        sign: 1 where scores are maximised, -1 where they are minimised.
        objectives: number of objectives; a search has one.
        wanted: trials that the search is to have, or None for a study of stock Optuna.
        stopping: whether its workers are asked to end.
        lease_s: seconds without a heartbeat before a worker is considered dead.
        created_at: when the search was registered, in UTC.
        model: name of the network, or an empty string.
        structure: the network; empty where it is not known.
        result: result of the finished run, or None.
        local_workers: the workers that a run has on its own machine; None where no run has any.
        unreadable: records that are stored but cannot be read, each with the reason.
    """

    study_id: int
    name: str
    sign: int
    objectives: int
    wanted: int | None
    stopping: bool
    lease_s: float
    created_at: datetime | None
    model: str
    structure: Structure
    result: RunResult | None
    local_workers: LocalWorkers | None = None
    unreadable: tuple[str, ...] = ()


def list_searches(snapshot: Snapshot) -> list[Listed]:
    """The `LISTED` latest searches and studies, the latest first; three round trips."""
    if not snapshot.optuna:
        return []
    ours = (
        "CASE WHEN m.study_id IS NULL THEN coalesce(t.scored, 0) ELSE mend_done(s.study_id) END AS done,"
        " m.trials AS wanted FROM latest s LEFT JOIN mend_searches m USING (study_id)"
        if snapshot.fleet
        else "coalesce(t.scored, 0) AS done, NULL::integer AS wanted FROM latest s"
    )
    rows = snapshot.all(
        f"""
        WITH latest AS (SELECT study_id, study_name FROM studies ORDER BY study_id DESC LIMIT :limit)
        SELECT s.study_id, s.study_name AS name, coalesce(t.failed, 0) AS failed, t.last, {ours}
        LEFT JOIN (
            SELECT study_id, count(*) FILTER (WHERE state IN ('COMPLETE', 'PRUNED')) AS scored,
                count(*) FILTER (WHERE state = 'FAIL') AS failed,
                greatest(max(datetime_start), max(datetime_complete)) AS last
            FROM trials WHERE study_id IN (SELECT study_id FROM latest) GROUP BY study_id
        ) t ON t.study_id = s.study_id
        ORDER BY s.study_id DESC
        """,  # noqa: S608
        limit=LISTED,
    )
    ids = [row["study_id"] for row in rows]
    best, alive = best_scores(snapshot, ids), alive_by_study(snapshot, ids)
    return [Listed(**row, best=best.get(row["study_id"]), alive=alive.get(row["study_id"], 0)) for row in rows]


def latest(snapshot: Snapshot) -> int | None:
    """Id of the study to show where none is named: of the search with the last heartbeat, else the latest study."""
    if not snapshot.optuna:
        return None
    row = snapshot.first(
        "SELECT study_id FROM studies LEFT JOIN mend_searches USING (study_id)"
        " ORDER BY greatest(heard_at, created_at) DESC NULLS LAST, study_id DESC LIMIT 1"
        if snapshot.fleet
        else "SELECT study_id FROM studies ORDER BY study_id DESC LIMIT 1"
    )
    return None if row is None else int(row["study_id"])


def with_results(snapshot: Snapshot, number: int = 50) -> list[int]:
    """Ids of the latest studies that have the result of a run, the latest first."""
    rows = snapshot.all(
        "SELECT study_id FROM study_user_attributes WHERE key = :key ORDER BY study_id DESC LIMIT :number",
        key=RESULTS,
        number=number,
    )
    return [row["study_id"] for row in rows]


def find_search(snapshot: Snapshot, *, study_id: int | None = None, name: str | None = None) -> Search | None:
    """The search of that id or name, or None; three round trips."""
    if not snapshot.optuna:
        return None
    study = snapshot.first(
        """
        SELECT s.study_id, s.study_name AS name, count(*) AS objectives, min(d.direction::text) AS direction
        FROM studies s JOIN study_directions d USING (study_id)
        WHERE s.study_id = :study OR s.study_name = :name GROUP BY s.study_id
        """,
        study=study_id,
        name=name,
    )
    if study is None:
        return None
    ours = snapshot.first(
        "SELECT trials, stopping, lease_s, timezone('utc', created_at) AS created_at, spec FROM mend_searches"
        " WHERE study_id = :study",
        study=study["study_id"],
    ) if snapshot.fleet else None  # fmt: skip
    stored = _attributes(snapshot, study["study_id"])
    structure, unreadable = _record(Structure, STRUCTURE, stored)
    result, more = _record(RunResult, RESULTS, stored)
    return Search(
        study_id=study["study_id"],
        name=study["name"],
        sign=-1 if study["direction"] == "MINIMIZE" else 1,
        objectives=study["objectives"],
        wanted=ours["trials"] if ours else None,
        stopping=bool(ours and ours["stopping"]),
        lease_s=float(ours["lease_s"]) if ours else LEASE_S,
        created_at=ours["created_at"] if ours else None,
        model=_model(ours, result),
        structure=structure or Structure(),
        result=result,
        local_workers=read_local_workers(stored.get(LOCAL_WORKERS)),
        unreadable=unreadable + more,
    )


def _attributes(snapshot: Snapshot, study_id: int) -> dict[str, str | None]:
    rows = snapshot.all(
        "SELECT key, value_json FROM study_user_attributes WHERE study_id = :study AND key = ANY (:keys)",
        study=study_id,
        keys=[STRUCTURE, RESULTS, LOCAL_WORKERS],
    )
    return {row["key"]: row["value_json"] for row in rows}


def _record(kind: type[R], key: str, stored: dict[str, str | None]) -> tuple[R | None, tuple[str, ...]]:
    """The record that a study attribute holds; or None, and why it cannot be read."""
    if key not in stored:
        return None, ()
    try:
        return kind.read(json.loads(stored[key] or "null")), ()
    except RecordError as error:
        return None, (f"{key}: {error}",)
    except (ValueError, RecursionError):
        return None, (f"{key}: it is not JSON",)


def _model(ours: Row | None, result: RunResult | None) -> str:
    spec: Any = ours["spec"] if ours else None
    model = spec.get("model") if isinstance(spec, dict) else None
    name = model.get("name") if isinstance(model, dict) else model
    return name if isinstance(name, str) else result.model.name if result else ""
