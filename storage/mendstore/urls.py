"""URLs of a study database."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mendstore.errors import UrlError

STORAGE_VARIABLE = "MENDSEARCH_STORAGE"
"""Environment variable with the URL of the study database."""
DRIVER = "postgresql+psycopg2"
SECRET = ("password", "sslpassword")


def normalised(url: str) -> str:
    """The URL with its driver named: SQLAlchemy 2.1 reads a bare `postgresql://` as psycopg 3, which is not installed.

    Args:
        url: `postgresql://…`, `postgres://…` or `postgresql+psycopg2://…`; missing parts come from libpq's environment
            and password file.

    Raises:
        UrlError: the text is not a URL, or not one of Postgres.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UrlError("storage URL cannot be read; expected postgresql://USER@HOST/DATABASE") from None
    if _torn(url, parsed):
        raise UrlError(
            "storage URL cannot be read: its user or password holds an @, / or ?; write them %40, %2F and %3F, or "
            "leave the password out of the URL: ~/.pgpass and PGPASSWORD are read"
        )
    if parsed.drivername not in ("postgresql", "postgres", DRIVER):
        raise UrlError(
            f"storage URL: got `{parsed.drivername}`, expected postgresql://USER@HOST/DATABASE; leave it out for the "
            f"embedded server"
        )
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


def with_role(url: str, role: str) -> str:
    """The URL for another role, without a password."""
    return make_url(without_password(url)).set(username=role).render_as_string()


def _torn(url: str, parsed: URL) -> bool:
    """Whether a part of a password was read as host, database or options: there, an @ has no place.

    A password among the options may hold one, but not beside one before the host.
    """
    rest, _, options = url.partition("://")[2].partition("?")
    place = f"{parsed.host or ''}/{parsed.database or ''}"
    return "@" in place or ("@" in options and ":" in rest.rpartition("@")[0])


def without_password(url: str) -> str:
    """The URL for printing, without a password before the host or among the options."""
    parsed = make_url(url)
    query = {key: value for key, value in parsed.query.items() if key not in SECRET}
    bare = URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, query=query)
    return bare.render_as_string()
