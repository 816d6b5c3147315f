"""The best scores: the only place that says which trials compete, and which of them wins."""

from __future__ import annotations

from collections.abc import Sequence

from mendstore.reading import Snapshot

SCORED = (
    "trials t JOIN trial_values v"
    " ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE' AND t.state = 'COMPLETE'"
)
"""SQL: complete trials `t` with their finite scores `v.value`."""


def best_scores(snapshot: Snapshot, study_ids: Sequence[int]) -> dict[int, float]:
    """The best score of each study that has one, by the direction of its first objective."""
    rows = snapshot.all(
        f"""
        SELECT t.study_id, CASE d.direction::text WHEN 'MINIMIZE' THEN min(v.value) ELSE max(v.value) END AS best
        FROM {SCORED} JOIN study_directions d ON d.study_id = t.study_id AND d.objective = 0
        WHERE t.study_id = ANY (:studies) GROUP BY t.study_id, d.direction::text
        """,  # noqa: S608
        studies=list(study_ids),
    )
    return {row["study_id"]: float(row["best"]) for row in rows}


def best_trial_ids(snapshot: Snapshot, study_id: int, sign: int, number: int) -> list[int]:
    """Optuna's ids of the best trials, the best first; of equal ones the earlier.

    Args:
        snapshot: the database.
        study_id: the study.
        sign: 1 where scores are maximised, -1 where they are minimised.
        number: how many at the most.
    """
    rows = snapshot.all(
        f"SELECT t.trial_id FROM {SCORED} WHERE t.study_id = :study"  # noqa: S608
        " ORDER BY :sign * v.value DESC, t.number LIMIT :number",
        study=study_id,
        sign=sign,
        number=number,
    )
    return [row["trial_id"] for row in rows]
