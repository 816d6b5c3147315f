"""Searches are registered: as they begin, with the trials of an earlier one or without, and as they are taken up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from mendstore.commands import command
from mendstore.database import Database, failures_named
from mendstore.errors import SearchNameError
from mendstore.queries.registered import Registered
from mendstore.searches import SEARCHES, STUDIES, change, enter, find

LEASE_S = 60.0

_items = sa.table("mend_items", *(sa.column(name) for name in ("study_id", "key", "state")), sa.column("params", JSONB))
_COPY = sa.text(
    """
    WITH taken AS (
        SELECT i.key, i.params, t.trial_id, t.state, t.datetime_start, t.datetime_complete,
            row_number() OVER (ORDER BY t.number) - 1 AS number
        FROM mend_items i JOIN trials t USING (trial_id)
        WHERE i.study_id = :earlier AND i.state = 'done' ORDER BY t.number LIMIT :most
    ), made AS (
        INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
        SELECT number, :study, state, datetime_start, datetime_complete FROM taken ORDER BY number
        RETURNING trial_id, number
    ), pairs AS (
        SELECT taken.trial_id AS old, made.trial_id AS new, taken.key, taken.params FROM taken JOIN made USING (number)
    ), parameters AS (
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
        SELECT new, param_name, param_value, distribution_json FROM trial_params JOIN pairs ON trial_id = old
    ), scores AS (
        INSERT INTO trial_values (trial_id, objective, value, value_type)
        SELECT new, objective, value, value_type FROM trial_values JOIN pairs ON trial_id = old
    ), steps AS (
        INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
        SELECT new, step, intermediate_value, intermediate_value_type
        FROM trial_intermediate_values JOIN pairs ON trial_id = old
    ), attributes AS (
        INSERT INTO trial_user_attributes (trial_id, key, value_json)
        SELECT new, a.key, value_json FROM trial_user_attributes a JOIN pairs ON trial_id = old
        WHERE a.key NOT IN ('worker', 'finetuned')
    )
    INSERT INTO mend_items (study_id, key, params, state, attempts, trial_id)
    SELECT :study, key, params, 'done', 1, new FROM pairs ORDER BY new RETURNING key
    """
)


def register(
    database: Database,
    name: str,
    *,
    trials: int,
    distributions: Mapping[str, str],
    fingerprint: str,
    spec: Mapping[str, Any],
    versions: Mapping[str, str],
    starts: Sequence[tuple[str, Mapping[str, float]]],
    earlier: Registered | None = None,
    lease_s: float = LEASE_S,
) -> Registered:
    """Register a search, or resume the one of that name; it then has at least `trials` trials and is not stopping.

    Workers that join from now on get the spec that is given here.

    Args:
        database: study database with the current schema.
        name: name of the Optuna study, which is created if it is missing; scores are maximised.
        trials: N, the number of trials that are to end with a score.
        distributions: Optuna's JSON by parameter.
        fingerprint: text that is equal for searches whose scores mean the same.
        spec: spec of the search, for workers that join.
        versions: versions that workers must have.
        starts: key and parameters of the first candidates.
        earlier: a search of the same fingerprint, whose trials a new one starts with.
        lease_s: seconds without a heartbeat before a worker is considered dead.

    Raises:
        SearchNameError: the search of that name has another fingerprint, so its scores would not compare.
        StorageError: the database cannot be reached.
    """
    import optuna  # takes a second

    from mendstore.storage import MendStorage

    with failures_named(database.url):
        optuna.create_study(
            storage=MendStorage(database), study_name=name, direction="maximize", load_if_exists=True
        )  # stock Optuna handles two processes that create it at once

    def write(connection: sa.Connection) -> None:
        study_id = connection.execute(
            sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name).with_for_update()
        ).scalar_one()
        made = connection.execute(
            insert(SEARCHES)
            .values(
                study_id=study_id,
                trials=trials,
                claimed=0,
                distributions=dict(distributions),
                fingerprint=fingerprint,
                spec=dict(spec),
                versions=dict(versions),
                blobs={},
                lease_s=lease_s,
                stopping=False,
            )
            .on_conflict_do_nothing()
        )
        if made.rowcount:
            _begin(connection, study_id, trials, starts, earlier)
        else:
            same = (SEARCHES.c.study_id == study_id) & (SEARCHES.c.fingerprint == fingerprint)
            wanted = sa.func.greatest(SEARCHES.c.trials, trials)
            known = dict(spec) or SEARCHES.c.spec
            change(connection, same, trials=wanted, stopping=False, lease_s=lease_s, spec=known)

    database.run(write, transaction=True)
    found = find(database, name)
    if found.fingerprint != fingerprint:
        raise SearchNameError(
            f"search `{name}` in this database has another network, data, budget or ranking, so scores would not "
            f"compare; choose another name, or remove it: {command('delete', database.url, name)}"
        )
    return found


def _begin(
    connection: sa.Connection,
    study_id: int,
    trials: int,
    starts: Sequence[tuple[str, Mapping[str, float]]],
    earlier: Registered | None,
) -> None:
    """The first items of a new search: those that an earlier one has done, and starting candidates that wait."""
    done: list[str] = []
    if earlier is not None:
        done = _copied(connection, earlier.study_id, study_id, trials)
        enter(connection, study_id, "reuse", f"{len(done)} trials of search `{earlier.name}`")
    rows = [{"study_id": study_id, "key": key, "params": dict(params)} for key, params in starts if key not in done]
    rows = rows[: trials - len(done)]
    if rows:
        connection.execute(sa.insert(_items), rows)
    claimed = sa.update(SEARCHES).where(SEARCHES.c.study_id == study_id).values(claimed=len(done) + len(rows))
    connection.execute(claimed)


def _copied(connection: sa.Connection, earlier: int, study: int, most: int) -> list[str]:
    """Copy the trials of a search that have ended with a score to one that has none, in the caller's transaction.

    Workers and fine-tunings belong to the search that had them, and are not copied.

    Args:
        connection: connection with a lock on the study.
        earlier: id of the study that has the trials.
        study: id of the study that gets them.
        most: number of trials, the first ones.

    Returns:
        keys of their candidates, one for each trial.
    """
    rows = connection.execute(_COPY, {"earlier": earlier, "study": study, "most": most})
    return list(rows.scalars())
