"""The command line, one subcommand per verb. It parses, calls, and prints; it computes nothing.

Exit codes: 0 done; 2 wrong usage, spec or data; 3 the database cannot be reached; 4 the search failed; 128+n ended by
signal n, with nothing lost: run the same command again to resume. `status --check` ends with 5 or 6 for a search that
has not finished: workers are at it, or it needs someone.
"""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from mendsearch.cli import database, doctor, exporting, fleet, launch, logs, profile, resize, runs, watch

app = typer.Typer(
    name="mendsearch",
    help="Find the smaller dense network that fits a budget at the best accuracy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
db = typer.Typer(
    help="Manage the study database: the embedded Postgres of this folder, and the tables of any.", no_args_is_help=True
)


def say_version(asked: bool) -> None:
    """Print the version and exit, if it was asked for."""
    if asked:
        print(f"mendsearch {metadata.version('mendsearch')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the smaller dense network that fits a budget at the best accuracy."""


for verb in (
    runs.demo,
    runs.run,
    runs.inspect,
    profile.profile,
    profile.device,
    exporting.export,
    watch.status,
    watch.dashboard,
    watch.report,
    logs.logs,
    fleet.create,
    fleet.worker,
    launch.launch,
    resize.resize,
    fleet.resume,
    fleet.stop,
    fleet.delete,
    fleet.gc,
    doctor.doctor,
):
    app.command()(verb)
db.command()(database.start)
db.command()(database.stop)
db.command()(database.upgrade)
app.add_typer(db, name="db")
