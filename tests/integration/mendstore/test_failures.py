"""What goes wrong with a database is one line that names cause and remedy, on a real Postgres."""

import warnings

import optuna
import psycopg2
import pytest
import sqlalchemy as sa

import mendstore
from mendstore import StorageError
from mendstore.queries.searches import list_searches


@pytest.fixture
def administrator(storage):
    """A cursor of the administrator; what it makes is made at once."""
    url = sa.make_url(mendstore.normalised(storage))
    connection = psycopg2.connect(host=url.query["host"], user=url.username, dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


@pytest.fixture
def make(administrator, storage, name):
    """Makes a database, and gives its URL."""

    def made(options="", role=None):
        administrator.execute(f'CREATE DATABASE "{name}" {options}')
        return at(name, role)

    def at(database, role=None):
        url = sa.make_url(mendstore.normalised(storage)).set(database=database)
        return (url if role is None else url.set(username=role)).render_as_string(hide_password=False)

    made.at = at
    return made


def refused(work):
    with pytest.raises(StorageError) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_another_encoding_is_refused_in_a_line_and_can_be_looked_at(make, encoding):
    url = make(f"ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    assert f"has the encoding {encoding}, expected UTF8; make a new one: createdb" in refused(
        lambda: mendstore.upgrade(url)
    )
    assert mendstore.Reader(url).read(list_searches) == []


def test_the_encoding_of_the_client_is_not_left_to_chance(make, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    url = make()
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    assert database.run(lambda connection: connection.execute(sa.text("SELECT 'ä → ü'")).scalar()) == "ä → ü"
    database.close()


def test_tables_of_an_older_optuna_are_named_by_every_verb(make):
    url = make()
    optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sa.NullPool}).remove_session()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    versions = {"v3.0.0.d": "optuna storage upgrade --storage", "v9.9.9": "upgrade Optuna on this machine"}
    for version, todo in versions.items():
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        for look in (lambda: mendstore.upgrade(url), lambda: mendstore.Reader(url).read(list_searches)):
            said = refused(look)
            assert f"tables of another Optuna: got their version {version}" in said
            assert todo in said


def test_tables_that_optuna_is_still_creating_hold_nothing_yet_and_are_completed(make):
    url = make()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    optuna.storages._rdb.models.BaseModel.metadata.create_all(engine)  # its version is written last
    reader = mendstore.Reader(url)
    assert not reader.read(lambda snapshot: snapshot.optuna)
    assert reader.read(list_searches) == []
    mendstore.upgrade(url)
    assert reader.read(lambda snapshot: snapshot.optuna)


def test_the_tables_are_made_over_one_connection(make, administrator, name):
    url = make()
    administrator.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1')
    administrator.execute(f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT 1; ALTER DATABASE "{name}" OWNER TO "{name}"')
    url = make.at(name, name)
    assert mendstore.upgrade(url) == mendstore.upgrade(url)


def test_too_many_connections(make, administrator, name):
    make()
    administrator.execute(f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT 0')
    said = refused(lambda: mendstore.upgrade(make.at(name, name)))
    assert "too many connections" in said
    assert "max_connections" in said


def test_no_right_to_the_schema_names_who_has_it(make, administrator, name):
    url = make()
    administrator.execute(f'CREATE ROLE "{name}" LOGIN')
    stranger = make.at(name, name)
    said = refused(lambda: mendstore.upgrade(stranger))
    assert "permission denied for schema public" in said
    assert "let this role CREATE in the schema" in said
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    database.run(lambda connection: connection.execute(sa.text("UPDATE mend_version SET version_num = '0001'")))
    database.run(lambda connection: connection.execute(sa.text(f'GRANT SELECT ON mend_version TO "{name}"')))
    database.close()
    assert "mendsearch db upgrade 'postgresql+psycopg2://postgres@" in refused(lambda: mendstore.upgrade(stranger))
    other = mendstore.Database(stranger)
    assert "mendsearch db upgrade 'postgresql+psycopg2://postgres@" in refused(lambda: mendstore.check_version(other))
    other.close()


def test_a_server_that_reads_only(make, administrator, name):
    url = make()
    mendstore.upgrade(url)
    administrator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    database = mendstore.Database(url)
    said = refused(
        lambda: mendstore.register(
            database, name, trials=1, distributions={}, fingerprint="", spec={}, versions={}, starts=[]
        )
    )
    database.close()
    assert "read-only transaction" in said
    assert "URL of a role that may write, and of the primary server" in said


@pytest.mark.parametrize(
    ("database", "role", "cause", "remedy"),
    [
        ("nowhere", None, 'database "nowhere" does not exist', "createdb --encoding UTF8"),
        ("mendsearch", "nobody", 'role "nobody" does not exist', "correct the user in the URL"),
    ],
)
def test_a_missing_database_and_a_missing_role(make, database, role, cause, remedy):
    said = refused(lambda: mendstore.upgrade(make.at(database, role)))
    assert cause in said
    assert remedy in said
    assert "see that it runs" not in said


def test_a_server_that_does_not_run_is_the_one_to_look_after():
    said = refused(lambda: mendstore.upgrade("postgresql://u:secret@127.0.0.1:1/db"))
    assert "Connection refused" in said
    assert "see that it runs" in said
    assert "secret" not in said


def test_a_full_disk(make):
    """As the server says it; a disk is not filled here."""
    database = mendstore.Database(make())
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    assert "free space on the disk of the server" in refused(
        lambda: database.run(lambda connection: connection.execute(sa.text(full)))
    )
    database.close()


def test_nothing_of_optuna_warns_on_the_way(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mendstore.upgrade(make())
