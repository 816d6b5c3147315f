"""Watch searches: `status`, `dashboard`, `report`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mendsearch.cli.common import Json, existing_storage, guarded, has_storage, show, storage_of
from mendsearch.cli.target import Name, Url, existing_search, url_and_name
from mendsearch.errors import UsageError
from mendstore import EMBEDDED, Reader, Snapshot, command
from mendstore.queries.devices import Devices, devices
from mendstore.queries.searches import find_search, latest, list_searches
from mendview.devices import summary as of_devices
from mendview.overview import Overview, overview, summary
from mendview.terminal import at_a_glance, check_line, devices_alone, goes_on, searches_table, watch

TOKEN = "MENDSEARCH_DASHBOARD_TOKEN"


@guarded
def status(
    url: Url = None,
    name: Name = None,
    as_json: Json = False,
    watched: Annotated[bool, typer.Option("--watch", help="Keep showing one search until it has ended.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Print one line of one search, and end with 0 if it has finished, 5 if workers are at it, 6 if it "
            "needs someone: stopped, without workers, or stuck. With --watch, wait until no worker is at it any more.",
        ),
    ] = False,
) -> None:
    """Show the searches of a database, or one of them: progress, budget, best score, workers, time left.

    Of one search, or of a name that has none yet, the device workers are shown too, with what each is at.
    """
    url, name = url_and_name("status", url, name)
    if check:
        raise typer.Exit(_checked(url, name, as_json, watched))
    if name is None and not watched and not has_storage(url):
        print(f"no database under {EMBEDDED}/ yet, and no storage URL; a run creates one", file=sys.stderr)
        found: list[Overview] = []
    else:
        reader = Reader(existing_storage("status", url))
        if watched:
            return watch(lambda: reader.read(lambda snapshot: _one(snapshot, name)), Console(markup=False))
        found = reader.read(lambda snapshot: _many(snapshot, name))
        if name is not None and not found and (waiting := reader.read(lambda snapshot: _devices_of(snapshot, name))):
            return show([{"name": name, "devices": of_devices(waiting)}], devices_alone(name, waiting), as_json)
    if (name is not None or watched) and not found:
        raise UsageError(
            f"status: no search{f' `{name}`' if name else ''} in this database; `{command('status', url)}` lists them"
        )
    table = at_a_glance(found[0]) if name is not None else searches_table(found)
    show([summary(seen) for seen in found], table, as_json)
    if name is not None and found[0].todo and not as_json:
        print(f"next: {found[0].todo}")


@guarded
def dashboard(
    url: Url = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any other than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")] = 8080,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    allow_edits: Annotated[
        bool, typer.Option("--allow-edits", help="Allow Optuna Dashboard to change and delete studies.")
    ] = False,
) -> None:
    """Watch searches in the browser: mendsearch's pages and Optuna Dashboard, on one port.

    An address that other machines can reach needs a token: that in MENDSEARCH_DASHBOARD_TOKEN, or one that is generated
    and printed once.
    """
    from mendview.server.serving import serve

    ended_by = serve(storage_of(url), host, port, os.environ.get(TOKEN) or None, allow_edits, browse=not no_open)
    raise typer.Exit(128 + ended_by)


@guarded
def report(
    url: Url = None,
    name: Name = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file to write. Default: NAME.html.")] = None,
) -> None:
    """Write a report of a search: one self-contained HTML file that opens offline and can be printed or sent."""
    import optuna

    from mendview.report import report_named, save

    if out is not None and out.is_dir():
        raise UsageError(f"report: got the folder {out} for -o, expected a file, such as {out / 'report.html'}")
    url, name = existing_search("report", url, name)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    text = Reader(url).read(lambda snapshot: report_named(snapshot, name))
    if text is None:
        raise UsageError(f"report: no search `{name}` in this database; `{command('status', url)}` lists them")
    path = out or Path(name.replace("/", "_") + ".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, text)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _checked(url: str | None, name: str | None, as_json: bool, watched: bool) -> int:
    """Print how a search is, once no worker is at it if it is watched; the exit code for a script."""
    if name is None:
        raise UsageError("status --check: got no name of a search, expected one")
    reader = Reader(existing_storage("status", url))
    if watched:
        watch(
            lambda: reader.read(lambda snapshot: _one(snapshot, name)),
            Console(stderr=True, markup=False),
            going=goes_on,
        )
    seen = reader.read(lambda snapshot: _one(snapshot, name))
    reader.close()
    code, line = check_line(seen)
    print(json.dumps(summary(seen), indent=2) if as_json else line)
    return code


def _one(snapshot: Snapshot, name: str | None) -> Overview:
    found = find_search(snapshot, study_id=None if name else latest(snapshot), name=name)
    if found is None:
        raise UsageError(
            f"status: no search{f' `{name}`' if name else ''} in this database; `{command('status', snapshot.url)}` "
            f"lists them"
        )
    return overview(snapshot, found)


def _devices_of(snapshot: Snapshot, name: str) -> Devices | None:
    """Device workers that were started for this very name, before there is a search: a profile is made first."""
    found = devices(snapshot, name)
    return found if found is not None and any(worker.name == name for worker in found.workers) else None


def _many(snapshot: Snapshot, name: str | None) -> list[Overview]:
    names = [listed.name for listed in reversed(list_searches(snapshot))] if name is None else [name]
    return [overview(snapshot, search) for item in names if (search := find_search(snapshot, name=item)) is not None]
