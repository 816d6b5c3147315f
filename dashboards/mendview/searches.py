"""Which searches a database holds, and one of them with all that does not change from trial to trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mendview.reading import Look
from mendview.structure import Structure, read_result_trials, read_results, read_structure, read_test_images

LISTED = 200


@dataclass(frozen=True)
class Listed:
    """A search in the list.

    Attributes:
        study_id: of its Optuna study.
        name: of its Optuna study.
        wanted: N, or None for a study of stock Optuna.
        done: trials that ended with a score, early or not.
        failed: attempts that failed.
        best: score of its best trial.
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
        study_id: of its Optuna study.
        name: of its Optuna study.
        sign: 1 where scores are maximised, -1 where they are minimised.
        objectives: how many there are; a search has one.
        wanted: N, or None for a study of stock Optuna.
        stopping: its workers are asked to end.
        lease_s: how long a worker may be silent.
        created_at: in UTC.
        model: name of the network, or an empty string.
        structure: of the network.
        results: rows of the finished run, or empty.
        test_images: of which `results` has the accuracy, or None.
        result_trials: among which the result was chosen, or None.
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
    results: dict[str, Any]
    test_images: int | None
    result_trials: int | None


def list_searches(look: Look) -> list[Listed]:
    """Searches and studies, the latest first."""
    if not look.optuna:
        return []
    ours = (
        """LEFT JOIN mend_searches m USING (study_id) LEFT JOIN (
            SELECT study_id, count(*) AS alive FROM mend_workers JOIN mend_searches USING (study_id)
            WHERE ended_at IS NULL AND seen_at > clock_timestamp() - make_interval(secs => lease_s) GROUP BY study_id
        ) w USING (study_id)"""
        if look.fleet
        else "CROSS JOIN (SELECT NULL::integer AS trials) m CROSS JOIN (SELECT 0 AS alive) w"
    )
    rows = look.all(
        f"""
        SELECT s.study_id, s.study_name AS name, m.trials AS wanted, coalesce(w.alive, 0) AS alive,
            coalesce(t.done, 0) AS done, coalesce(t.failed, 0) AS failed, t.last,
            (SELECT CASE d.direction::text WHEN 'MINIMIZE' THEN min(v.value) ELSE max(v.value) END
             FROM study_directions d, trials b JOIN trial_values v ON v.trial_id = b.trial_id AND v.objective = 0
             WHERE d.study_id = s.study_id AND d.objective = 0 AND b.study_id = s.study_id AND b.state = 'COMPLETE'
               AND v.value_type = 'FINITE' GROUP BY d.direction) AS best
        FROM (SELECT * FROM studies ORDER BY study_id DESC LIMIT :limit) s {ours}
        LEFT JOIN (
            SELECT study_id, count(*) FILTER (WHERE state IN ('COMPLETE', 'PRUNED')) AS done,
                count(*) FILTER (WHERE state = 'FAIL') AS failed,
                greatest(max(datetime_start), max(datetime_complete)) AS last
            FROM trials GROUP BY study_id
        ) t ON t.study_id = s.study_id
        ORDER BY s.study_id DESC
        """,  # noqa: S608  (both forms are written above)
        limit=LISTED,
    )
    return [Listed(**row) for row in rows]


def latest(look: Look) -> int | None:
    """The study to show where none is named: the search whose workers were heard last, else the latest study."""
    if not look.optuna:
        return None
    heard = "greatest(heard_at, created_at)" if look.fleet else "NULL::timestamptz"
    ours = "LEFT JOIN mend_searches USING (study_id)" if look.fleet else ""
    row = look.first(
        f"SELECT study_id FROM studies {ours} ORDER BY {heard} DESC NULLS LAST, study_id DESC LIMIT 1"  # noqa: S608
    )
    return None if row is None else int(row["study_id"])


def find_search(look: Look, *, study_id: int | None = None, name: str | None = None) -> Search | None:
    """The search of that number or name, or None."""
    if not look.optuna:
        return None
    study = look.first(
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
    ours = look.first(
        "SELECT trials, stopping, lease_s, timezone('utc', created_at) AS created_at, spec FROM mend_searches"
        " WHERE study_id = :study",
        study=study["study_id"],
    ) if look.fleet else None  # fmt: skip
    attributes = {
        row["key"]: _json(row["value_json"])
        for row in look.all(
            "SELECT key, value_json FROM study_user_attributes"
            " WHERE study_id = :study AND key IN ('structure', 'results')",
            study=study["study_id"],
        )
    }
    return Search(
        study_id=study["study_id"],
        name=study["name"],
        sign=-1 if study["direction"] == "MINIMIZE" else 1,
        objectives=study["objectives"],
        wanted=ours["trials"] if ours else None,
        stopping=bool(ours and ours["stopping"]),
        lease_s=float(ours["lease_s"]) if ours else 60.0,
        created_at=ours["created_at"] if ours else None,
        model=_model(ours["spec"] if ours else attributes.get("results")),
        structure=read_structure(attributes.get("structure")),
        results=read_results(attributes.get("results")),
        test_images=read_test_images(attributes.get("results")),
        result_trials=read_result_trials(attributes.get("results")),
    )


def _model(spec: Any) -> str:
    model = spec.get("model") if isinstance(spec, dict) else None
    name = model.get("name") if isinstance(model, dict) else model
    return name if isinstance(name, str) else ""


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
