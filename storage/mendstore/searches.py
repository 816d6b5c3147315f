"""Searches that many workers run: find, enlarge, stop and remove them."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from mendstore.commands import command
from mendstore.database import Database, failures_named
from mendstore.errors import SearchNameError
from mendstore.queries.ladder import Ladder
from mendstore.queries.ladder import ladder as ladder_of
from mendstore.queries.registered import Registered, has_attribute, registered
from mendstore.queries.registered import alike as alike_of
from mendstore.queries.registered import progress as progress_of
from mendstore.queries.registered import under_way_s as under_way_of
from mendstore.reading import Snapshot
from mendstore.urls import without_password

STUDIES = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
_attributes = sa.table(
    "study_user_attributes", sa.column("study_id"), sa.column("key"), sa.column("value_json", sa.Text)
)
SEARCHES = sa.table(
    "mend_searches",
    *(sa.column(name) for name in ("study_id", "trials", "claimed", "fingerprint", "lease_s", "stopping", "store")),
    *(sa.column(name, JSONB) for name in ("distributions", "spec", "versions", "blobs")),
)
_events = sa.table("mend_events", *(sa.column(name) for name in ("study_id", "kind", "detail")))
_measurements = sa.table("mend_measurements", sa.column("name"), sa.column("state"))


def find(database: Database, name: str) -> Registered:
    """The search of that name.

    Raises:
        SearchNameError: there is none.
    """
    found = database.run(lambda connection: registered(Snapshot(connection), name))
    if found is None:
        raise SearchNameError(
            f"no search `{name}` in {without_password(database.url)}; `{command('status', database.url)}` lists those "
            f"that there are"
        )
    return found


def alike(database: Database, fingerprint: str) -> list[Registered]:
    """Searches whose scores mean the same, the latest first."""
    return database.run(lambda connection: alike_of(Snapshot(connection), fingerprint))


def describe(database: Database, search: Registered, attributes: Mapping[str, str]) -> None:
    """Set study attributes to JSON texts; dashboards and stock Optuna read them."""
    rows = [{"study_id": search.study_id, "key": key, "value_json": text} for key, text in attributes.items()]
    statement = insert(_attributes)
    statement = statement.on_conflict_do_update(
        index_elements=["study_id", "key"], set_={"value_json": statement.excluded.value_json}
    )
    database.run(lambda connection: connection.execute(statement, rows))


def described(database: Database, search: Registered, attribute: str) -> bool:
    """Whether a study attribute is set."""
    return database.run(lambda connection: has_attribute(Snapshot(connection), search.study_id, attribute))


def name_blobs(database: Database, search: Registered, blobs: Mapping[str, str]) -> None:
    """Name the blobs that a worker needs, by role; they are kept as long as the search."""
    _update(database, search, blobs=dict(blobs))


def enlarge(database: Database, search: Registered, *, to: int | None = None, by: int = 0) -> None:
    """Let a search have `to` trials, or `by` more than now, and go on; claimed trials stay. The event log has it."""
    wanted = SEARCHES.c.trials + by if to is None else sa.func.greatest(to, SEARCHES.c.claimed)
    same = SEARCHES.c.study_id == search.study_id
    database.run(lambda connection: change(connection, same, trials=wanted, stopping=False), transaction=True)


def end_trials(database: Database, search: Registered) -> None:
    """Let a search have no more trials than are claimed, the starting ones among them; the event log has it."""
    same = (SEARCHES.c.study_id == search.study_id) & (SEARCHES.c.trials > SEARCHES.c.claimed)
    fewer = sa.func.greatest(SEARCHES.c.claimed, 1)
    database.run(lambda connection: change(connection, same, trials=fewer), transaction=True)


def stop(database: Database, search: Registered) -> None:
    """Ask the workers to end after their current work; `enlarge` or `register` lets the search go on.

    The event log has it.
    """
    same = SEARCHES.c.study_id == search.study_id
    database.run(lambda connection: change(connection, same, stopping=True), transaction=True)


def remove(database: Database, name: str) -> None:
    """Remove a study with all its trials, and all that belongs to its search."""
    import optuna

    from mendstore.storage import MendStorage

    with failures_named(database.url):
        optuna.delete_study(study_name=name, storage=MendStorage(database))
    over = _measurements.c.state.not_in(("waiting", "leased"))
    statement = sa.delete(_measurements).where(_measurements.c.name == name, over)
    database.run(lambda connection: connection.execute(statement))


def change(connection: sa.Connection, same: sa.ColumnElement[bool], **values: Any) -> None:
    """Change a search, if there is one, and enter in the event log what was changed and by whom.

    Claims lock the row of the study before they read what is left; so does this, or one of them would count too many.
    """
    studies = sa.select(SEARCHES.c.study_id).where(same)
    connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id.in_(studies)).with_for_update())
    columns = SEARCHES.c.study_id, SEARCHES.c.stopping, SEARCHES.c.trials
    before = connection.execute(sa.select(*columns).where(same).with_for_update()).first()
    if before is None:
        return
    after = connection.execute(sa.update(SEARCHES).where(same).values(**values).returning(*columns)).one()
    events = {
        "stop": "workers were asked to stop" if after.stopping and not before.stopping else "",
        "resume": "it goes on" if before.stopping and not after.stopping else "",
        "trials": f"{before.trials} before, {after.trials} now" if before.trials != after.trials else "",
    }
    for kind, what in events.items():
        if what:
            enter(connection, before.study_id, kind, what)


def enter(connection: sa.Connection, study_id: int, kind: str, what: str) -> None:
    """Enter in the event log of a search what a person did, and who it was."""
    detail = sa.func.concat(f"{what}; by {_person()}, role ", sa.literal_column("current_user"))
    connection.execute(sa.insert(_events).values(study_id=study_id, kind=kind, detail=detail))


def _person() -> str:
    """Who runs this process, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user on this system, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _update(database: Database, search: Registered, **values: Any) -> None:
    statement = sa.update(SEARCHES).where(SEARCHES.c.study_id == search.study_id).values(**values)
    database.run(lambda connection: connection.execute(statement))


def name_store(database: Database, search: Registered, store: str) -> None:
    """Name the folder for blobs of a search that are too large for the database; one that was named before stays."""
    from mendstore.blobs.objects import folder_url

    _update(database, search, store=sa.func.coalesce(SEARCHES.c.store, folder_url(store)))


def store_of(database: Database, search: Registered) -> str | None:
    """URL of the folder for blobs of a search that are too large for the database."""
    statement = sa.select(SEARCHES.c.store).where(SEARCHES.c.study_id == search.study_id)
    return database.run(lambda connection: connection.execute(statement).scalar())


def try_again(database: Database, search: Registered) -> int:
    """Let tasks that were set aside wait again, with three attempts; returns how many."""
    return int(database.call("mend_try_again", search.study_id))


def ladder(database: Database, search: Registered, recipe: str | None = None) -> Ladder | None:
    """The last rungs of a search; see `queries.ladder.ladder`."""
    return database.run(lambda connection: ladder_of(Snapshot(connection), search.study_id, recipe))


def under_way_s(database: Database, search: Registered) -> float | None:
    """Seconds since the first trial of a search began, by the database's clock; None before."""
    return database.run(lambda connection: under_way_of(Snapshot(connection), search.study_id))


def progress(database: Database, study_id: int) -> tuple[int, float | None]:
    """How many trials of a search have ended with a score, and the best score of a complete one."""
    return database.run(lambda connection: progress_of(Snapshot(connection), study_id))
