"""Studies at a glance, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass

from mendstore.queries.best import best_scores
from mendstore.reading import Snapshot


@dataclass(frozen=True)
class StudySummary:
    """One study at a glance.

    Attributes:
        name: name of the study.
        trials: number of trials by Optuna's state, in lower case.
        best: the best value of a complete trial, or None.
    """

    name: str
    trials: dict[str, int]
    best: float | None


def study_summaries(snapshot: Snapshot, name: str | None = None) -> list[StudySummary]:
    """Every study of the database, or the one of that name, in the order of creation; two round trips."""
    if not snapshot.optuna:
        return []
    rows = snapshot.all(
        """
        SELECT s.study_id, s.study_name AS name, coalesce(
            (SELECT jsonb_object_agg(state, number) FROM (
                SELECT lower(state::text) AS state, count(*) AS number FROM trials t
                WHERE t.study_id = s.study_id GROUP BY state) counted), '{}') AS trials
        FROM studies s WHERE cast(:name AS text) IS NULL OR s.study_name = :name ORDER BY s.study_id
        """,
        name=name,
    )
    best = best_scores(snapshot, [row["study_id"] for row in rows])
    return [StudySummary(row["name"], row["trials"], best.get(row["study_id"])) for row in rows]
