"""Change the number of local workers while a run is at work: `resize`."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import guarded
from mendsearch.cli.target import Name, Url, existing_search
from mendsearch.errors import MendsearchError, UsageError
from mendview.words import plural

ANSWER_S = 30.0
"""Seconds in which a run answers: it asks every second, unless its machine is very busy."""
POLL_S = 0.2
MOST = 1000


@guarded
def resize(
    url: Url = None,
    name: Name = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Number of local workers from now on. Required.")
    ] = None,
) -> None:
    """Change the number of workers of a `run --workers` that is at work.

    A worker that has to end gives back its trial, or finishes its pass of a fine-tuning; a worker whose share of the
    cores changes is replaced.
    """
    url, name = existing_search("resize", url, name)
    if workers is None:
        again = mendstore.command("resize", url, name, "--workers", "2")
        raise UsageError(f"resize: got no number of workers, expected one: {again}")
    with closing(mendstore.Database(url)) as database:
        mendstore.check_version(database)
        search = mendstore.find(database, name)
        found = mendstore.local_workers(database, search)
        if found is None:
            more = mendstore.launch_command(url, name, search.spec)
            raise UsageError(
                f"resize: search `{name}` has no local workers, those of a `run --workers N`; start workers beside "
                f"whatever there is: {more}"
            )
        if found.number != workers:
            mendstore.ask_for_workers(database, search, workers, found.number)
            _wait(database, search, workers)
        print(f"search `{name}`: {plural(workers, 'local worker')} on {found.process.host}, {found.number} before")


def _wait(database: mendstore.Database, search: mendstore.Registered, workers: int) -> None:
    """Wait until the run has the number.

    Raises:
        MendsearchError: it does not answer, or has ended meanwhile.
    """
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        found = mendstore.local_workers(database, search)
        if found is None:
            raise MendsearchError(f"resize: the run of search `{search.name}` has ended meanwhile")
        if found.number == workers:
            return
        time.sleep(POLL_S)
    raise MendsearchError(
        f"resize: the run of search `{search.name}` did not answer in {ANSWER_S:.0f} s; see that it is "
        f"alive: {mendstore.command('status', database.url, search.name)}"
    )
