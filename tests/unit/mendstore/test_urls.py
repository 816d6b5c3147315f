import pytest
from sqlalchemy.engine import make_url

from mendstore import StorageError, normalised, without_password


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_the_driver_is_named_and_the_rest_is_kept(scheme):
    assert normalised(f"{scheme}://u:p%40ss@host:5433/db?sslmode=require") == (
        "postgresql+psycopg2://u:p%40ss@host:5433/db?sslmode=require"
    )


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://h/db", "no url at all", "postgresql+psycopg://h/db"])
def test_other_databases_are_refused(url):
    with pytest.raises(StorageError, match="expected postgresql://USER@HOST/DATABASE"):
        normalised(url)


def test_no_password_is_printed():
    assert without_password("postgresql://u:secret@host/db") == "postgresql://u@host/db"
    assert without_password("postgresql:///db?host=h&password=secret&sslpassword=x") == "postgresql:///db?host=h"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@secret@host/db",
        "postgresql://u:p@secret/x@host/db",
        "postgresql://u:p@secret?x@host/db",
        "postgresql://u:p@secret:5432/x@host/db",
        "postgresql://secret/x:p@host/db",
        "postgresql://u:secret@host:abc/db",
        "postgresql://u:secret@[::1/db",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url):
    with pytest.raises(StorageError) as caught:
        normalised(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://u:p%40%2F%3Fx@host/db", "p@/?x"),
        ("postgresql://u:p/x?y@host/db", "p/x?y"),
        ("postgresql://me@corp:x@host/db", "x"),
    ],
)
def test_a_password_that_can_be_read_in_one_way_is_taken(url, password):
    found = make_url(normalised(url))
    assert (found.password, found.host, found.database) == (password, "host", "db")


def test_a_password_among_the_options_may_hold_an_at():
    assert make_url(normalised("postgresql://u@host/db?password=p@ss")).query["password"] == "p@ss"
