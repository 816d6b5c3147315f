"""Look at searches: `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import EMBEDDED, Json, guarded, show
from mendsearch.errors import UsageError
from mendview.tables import studies_table


@guarded
def status(
    url: Annotated[
        str | None, typer.Argument(envvar="MENDSEARCH_STORAGE", help="postgresql://… study database.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One search.")] = None,
    as_json: Json = False,
) -> None:
    """Searches of a database: trials by state, and the best score."""
    if url is not None and "://" not in url and name is None:  # `status NAME`, of the embedded database
        url, name = None, url
    if url is None and not mendstore.EmbeddedServer(EMBEDDED).exists:
        found: list[mendstore.StudySummary] = []
    else:
        found = mendstore.summaries(url or mendstore.EmbeddedServer(EMBEDDED).start(), name)
    if name is not None and not found:
        raise UsageError(f"status: no search `{name}` in this database; `mendsearch status` lists them")
    show([asdict(summary) for summary in found], studies_table(found), as_json)
