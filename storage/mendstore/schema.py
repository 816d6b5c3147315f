"""The schema of a study database: stock Optuna's tables, and ours beside them."""

from __future__ import annotations

from pathlib import Path

import optuna
import psycopg2
import sqlalchemy as sa
from alembic import command as migration
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mendstore.commands import command
from mendstore.database import Database
from mendstore.errors import StorageError
from mendstore.failures import reason_of
from mendstore.optuna_tables import refuse_other_optuna
from mendstore.urls import with_role, without_password

VERSION_TABLE = "mend_version"
LOCK = 7_203_115_401
"""Advisory lock of who changes the schema."""


def upgrade(url: str, revision: str = "head") -> str:
    """Create stock Optuna's tables and ours, or bring ours up to date; returns the version of the schema.

    It takes one connection. If several processes do so at once, one does it and the others wait.

    Args:
        url: URL of a Postgres database with the encoding UTF8.
        revision: version of the schema to stop at; an earlier one serves tests of what comes after it.

    Raises:
        StorageError: the database cannot be reached, is of another mendsearch, Optuna or encoding, or the role may not
            change it.
    """
    database, config = Database(url), _alembic()

    def migrate(connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        _refuse_newer(connection, config)
        config.attributes["connection"] = connection
        migration.upgrade(config, revision)

    try:
        if database.run(_version) is None:
            database.run(lambda connection: _begin(connection, database))
        database.run(migrate, transaction=True)
        return str(database.run(_version))
    except StorageError as error:
        if isinstance(getattr(error.__cause__, "orig", None), psycopg2.errors.InsufficientPrivilege):
            raise _not_the_owner(database, reason_of(error.__cause__)) from error
        raise
    finally:
        database.close()


def check_version(database: Database) -> None:
    """Check that the database has the schema of this program.

    Raises:
        StorageError: the schema is missing or another one; the message says what to do.
    """
    config = _alembic()

    def check(connection: sa.Connection) -> None:
        _refuse_newer(connection, config)
        found, wanted = _version(connection), ScriptDirectory.from_config(config).get_current_head()
        if found in (None, wanted):  # an upgrade of ours comes first, and needs no right to read Optuna's version
            refuse_other_optuna(connection)
        if found != wanted:
            owner = _owner(connection)
            url = database.url if owner is None else with_role(database.url, owner)
            raise StorageError(
                f"study database {without_password(database.url)} has schema {found or 'none'}, expected {wanted}; "
                f"bring it up to date, as the role that owns its tables: {command('db upgrade', url)}"
            )

    database.run(check)


def _begin(connection: sa.Connection, database: Database) -> None:
    """Create stock Optuna's tables over this connection, which Optuna commits itself."""
    connection.execute(sa.select(sa.func.pg_advisory_lock(LOCK)))
    try:
        _refuse_other_encodings(connection, database.url)
        refuse_other_optuna(connection)
        own = connection.connection.dbapi_connection
        optuna.storages.RDBStorage(
            database.url, engine_kwargs={"poolclass": sa.StaticPool, "creator": lambda: own}
        ).remove_session()
    finally:
        if not connection.invalidated:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))


def _version(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _refuse_newer(connection: sa.Connection, config: Config) -> None:
    found = _version(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StorageError(
            f"this database has schema {found}, of a newer mendsearch than this one, which knows up to {max(known)}; "
            f"upgrade mendsearch on this machine"
        )


def _refuse_other_encodings(connection: sa.Connection, url: str) -> None:
    """Logs and names of layers are Unicode; a database that cannot hold them would fail later, at a worker."""
    encoding = connection.execute(sa.select(sa.func.current_setting("server_encoding"))).scalar_one()
    if encoding != "UTF8":
        raise StorageError(
            f"study database {without_password(url)} has the encoding {encoding}, expected UTF8; make a new one: "
            f"createdb --encoding UTF8 --template template0 NAME"
        )


def _owner(connection: sa.Connection) -> str | None:
    """Owner of the tables, if that is another role than ours."""
    query = "SELECT tableowner::text FROM pg_tables WHERE tablename = :table AND NOT pg_has_role(tableowner, 'USAGE')"
    return connection.execute(sa.text(query), {"table": VERSION_TABLE}).scalar()


def _not_the_owner(database: Database, reason: str) -> StorageError:
    owner, shown = database.run(_owner), without_password(database.url)
    if owner is not None:
        todo = f"run it as the role that owns the tables: {command('db upgrade', with_role(database.url, owner))}"
    else:
        todo = (
            "let this role CREATE in the schema, or give the URL of one that may; storage/postgres/roles.sql makes some"
        )
    return StorageError(f"study database {shown} failed: {reason}; {todo}")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
