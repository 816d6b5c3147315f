"""Where the search of a run folder is: `search.json`, written once the search is registered.

Without it, the same command with another database would run all trials again there, and show that database's network
as the run's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import mendstore
from mendsearch.errors import UsageError
from mendsearch.files import read_json, write_json
from mendstore.queries.registered import registered

FILE = "search.json"


@dataclass(frozen=True)
class Home:
    """The search of a run folder, and its database.

    Attributes:
        name: name of the search.
        created_at: when it was registered, by its database's clock, in ISO 8601. It names the search whatever the URL.
        url: URL of the database, without a password; None for an embedded one.
        embedded: folder of the embedded server, or None.
    """

    name: str
    created_at: str
    url: str | None
    embedded: Path | None

    @property
    def where(self) -> str:
        """The database, in words."""
        return self.url if self.url is not None else f"the embedded database under {self.embedded}"


def home_of(folder: Path) -> Home | None:
    """The search that a run folder has registered, or None."""
    found = read_json(folder / FILE)
    if found is None:
        return None
    embedded = found.get("embedded")
    inside = None if embedded is None else Path(os.path.normpath(folder.resolve() / embedded))
    return Home(found["name"], found["created_at"], found.get("url"), inside)


def storage_of_run(folder: Path, given: str | None) -> str | None:
    """The URL for a run in this folder: the one given, or that of the search which the folder has registered.

    Args:
        folder: run folder; it may be missing.
        given: URL that the user gave, or None.

    Returns:
        the URL, or None if neither is known. The embedded server is started if the search is there.

    Raises:
        UsageError: the search is in an embedded database that is gone.
        mendstore.StorageError: the embedded database does not start.
    """
    home = home_of(folder)
    if given is not None or home is None:
        return given
    if home.embedded is None:
        return home.url
    server = mendstore.EmbeddedServer(home.embedded)
    if not server.exists:
        raise UsageError(
            f"{folder}: its search `{home.name}` was in {home.where}, which is gone; put it back, or remove "
            f"{folder} to start over"
        )
    return server.start()


def settle(folder: Path, search: mendstore.Registered, url: str) -> None:
    """Write down where the search of a run folder is."""
    shown = mendstore.without_password(url)
    servers = [mendstore.EmbeddedServer(path) for path in _embedded(folder)]
    own = next((server for server in servers if server.url == shown), None)
    place = {"url": shown} if own is None else {"embedded": os.path.relpath(own.folder, folder.resolve())}
    write_json(folder / FILE, {"name": search.name, "created_at": search.created_at.isoformat(), **place})


def check_database(folder: Path, url: str) -> None:
    """Refuse a database that is not the one where the folder's search is.

    A search that was removed may be registered anew in the same database. A copy of the database, as after a restore,
    holds the same search.

    Args:
        folder: run folder; it may be missing.
        url: URL of the database.

    Raises:
        UsageError: the search is elsewhere.
        mendstore.StorageError: the database cannot be reached.
    """
    home = home_of(folder)
    if home is None or mendstore.without_password(url) == _shown(home):
        return
    reader = mendstore.Reader(url)
    try:
        found = reader.read(lambda snapshot: registered(snapshot, home.name) if snapshot.fleet else None)
    finally:
        reader.close()
    if found is None or found.created_at.isoformat() != home.created_at:
        raise UsageError(
            f"{folder}: got the database {mendstore.without_password(url)}, expected {home.where}, where its search "
            f"`{home.name}` is; leave out --storage and {mendstore.STORAGE_VARIABLE}, or give another --out"
        )


def _shown(home: Home) -> str | None:
    return home.url if home.embedded is None else mendstore.EmbeddedServer(home.embedded).url


def _embedded(folder: Path) -> list[Path]:
    """Folders in which the embedded server of a run may be: the one that it had, and that of the working directory."""
    home = home_of(folder)
    return [mendstore.EMBEDDED, *([home.embedded] if home is not None and home.embedded is not None else [])]
