"""`logs`: what happened in a search, line by line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mendsearch.cli.common import Json, guarded
from mendsearch.cli.target import Name, Url, existing_search
from mendsearch.errors import UsageError
from mendstore import Reader, Snapshot, command
from mendstore.queries.fleet import Event, events
from mendstore.queries.searches import find_search


@guarded
def logs(
    url: Url = None,
    name: Name = None,
    worker: Annotated[int | None, typer.Option(min=0, help="Only events of the worker of that number.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Events at the most.")] = 200,
    as_json: Json = False,
) -> None:
    """Print what happened in a search: workers that joined, left and were lost, failures with their logs, stops."""
    url, name = existing_search("logs", url, name)

    def read(snapshot: Snapshot) -> list[Event] | None:
        search = find_search(snapshot, name=name)
        return None if search is None else events(snapshot, search, last, worker, characters=None)[::-1]

    reader = Reader(url)
    found = reader.read(read)
    reader.close()
    if found is None:
        raise UsageError(f"logs: no search `{name}` in this database; `{command('status', url)}` lists them")
    if as_json:
        print(json.dumps([asdict(event) for event in found], indent=2, default=str))
    else:
        print("\n".join(_line(event) for event in found) or f"nothing happened in `{name}` yet")


def _line(event: Event) -> str:
    who = "" if event.ordinal is None else f" worker {event.ordinal}"
    detail = f": {event.detail}" if event.detail else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S} UTC{who} {event.kind}{detail}"
