"""Studies in a Postgres database, in the tables of stock Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from sqlalchemy.exc import SQLAlchemyError

from mendstore.errors import StorageError
from mendstore.urls import normalised, without_password

CONNECT_TIMEOUT_S = 10

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


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Within the scope, a failure of the database is a `StorageError` whose message holds no password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = str(getattr(cause, "orig", None) or cause).strip().split("\n")[0]
        raise StorageError(
            f"study database {without_password(url)} failed: {reason}; see that it runs, then run the same "
            f"command again"
        ) from error


def open_study(url: str, name: str, sampler: BaseSampler | None = None) -> optuna.Study:
    """The study of that name, made when it is missing; scores are maximised.

    Raises:
        StorageError: the database cannot be reached.
    """
    url = normalised(url)
    with reachable(url):
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"connect_args": {"connect_timeout": CONNECT_TIMEOUT_S}, "pool_pre_ping": True}
        )
        return optuna.create_study(
            storage=storage, study_name=name, direction="maximize", sampler=sampler, load_if_exists=True
        )


@contextmanager
def exclusive(url: str, name: str) -> Iterator[bool]:
    """Whether this process alone runs the search of that name; held until the scope, or the process, ends."""
    engine = _engine(url)
    with reachable(url):
        connection = engine.connect()
        key = sa.func.hashtextextended(f"mendsearch/{name}", 0)
        held = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar())
        connection.commit()
    try:
        yield held
    finally:
        connection.invalidate()
        connection.close()
        engine.dispose()


def summaries(url: str, name: str | None = None) -> list[StudySummary]:
    """Every study of the database, or the one of that name, in the order of creation.

    Raises:
        StorageError: the database cannot be reached.
    """
    engine = _engine(url)
    with reachable(url), engine.connect() as connection:
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


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(normalised(url), connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
