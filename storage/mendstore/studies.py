"""Studies in a Postgres database, in the tables of stock Optuna."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from mendstore.database import CONNECT_TIMEOUT_S, failures_named
from mendstore.urls import normalised

_studies = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
_directions = sa.table("study_directions", sa.column("study_id"), sa.column("direction"))
_trials = sa.table("trials", sa.column("trial_id"), sa.column("study_id"), sa.column("state"))
_values = sa.table("trial_values", sa.column("trial_id"), sa.column("value"), sa.column("value_type"))


@dataclass(frozen=True)
class StudySummary:
    """One study at a glance.

    Attributes:
        name: of the study.
        trials: number of trials by state, in lower case.
        best: the best value of a complete trial, or None.
    """

    name: str
    trials: dict[str, int]
    best: float | None


def summaries(url: str, name: str | None = None) -> list[StudySummary]:
    """Every study of the database, or the one of that name, in the order of creation.

    Raises:
        StorageError: the database cannot be reached.
    """
    engine = sa.create_engine(normalised(url), connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    with failures_named(url), engine.connect() as connection:
        if not sa.inspect(connection).has_table("studies"):
            return []
        wanted = sa.select(_studies.c.study_id, _studies.c.study_name, _directions.c.direction).join(
            _directions, _directions.c.study_id == _studies.c.study_id
        )
        if name is not None:
            wanted = wanted.where(_studies.c.study_name == name)
        found = []
        for study_id, study_name, direction in connection.execute(wanted.order_by(_studies.c.study_id)):
            states = connection.execute(
                sa.select(sa.cast(_trials.c.state, sa.Text), sa.func.count())
                .where(_trials.c.study_id == study_id)
                .group_by(_trials.c.state)
            )
            pick = sa.func.max if direction == "MAXIMIZE" else sa.func.min
            best = connection.execute(
                sa.select(pick(_values.c.value))
                .join(_trials, _trials.c.trial_id == _values.c.trial_id)
                .where(
                    _trials.c.study_id == study_id,
                    sa.cast(_trials.c.state, sa.Text) == "COMPLETE",
                    sa.cast(_values.c.value_type, sa.Text) == "FINITE",
                )
            ).scalar()
            counts = {str(state).lower(): int(number) for state, number in states}
            found.append(StudySummary(str(study_name), counts, None if best is None else float(best)))
    engine.dispose()
    return found
