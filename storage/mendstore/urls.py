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
        url: `postgresql://…`, `postgres://…` or `postgresql+psycopg2://…`; what it leaves out comes from libpq's own
            environment and password file.

    Raises:
        UrlError: it is no URL, or not one of Postgres.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UrlError("storage URL cannot be read; expected postgresql://USER@HOST/DATABASE") from None
    if "@" in (parsed.host or ""):
        raise UrlError("storage URL: its user or password holds an @ or /; write them %40 and %2F")
    if parsed.drivername not in ("postgresql", "postgres", DRIVER):
        raise UrlError(
            f"storage URL: got `{parsed.drivername}`, expected postgresql://USER@HOST/DATABASE; leave it out for the "
            f"embedded server"
        )
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """The URL as it may be printed: no password before the host, and none among the options after it."""
    parsed = make_url(url)
    query = {key: value for key, value in parsed.query.items() if key not in SECRET}
    bare = URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, query=query)
    return bare.render_as_string()
