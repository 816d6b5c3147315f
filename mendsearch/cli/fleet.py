"""Searches that many workers run: `delete`."""

from __future__ import annotations

from typing import Annotated

import optuna
import typer

import mendstore
from mendsearch.cli.common import Storage, guarded, storage_of
from mendsearch.errors import UsageError


@guarded
def delete(
    name: Annotated[str, typer.Argument(help="The search to remove.")],
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a search, with all its trials, from the database. Folders of runs stay."""
    url = mendstore.normalised(storage_of(storage))
    if not mendstore.summaries(url, name):
        raise UsageError(f"delete: no search `{name}` in this database; `mendsearch status` lists them")
    if not yes:
        typer.confirm(f"Remove search `{name}` with all its trials?", abort=True)
    with mendstore.exclusive(url, name) as alone, mendstore.reachable(url):
        if not alone:
            raise UsageError(f"delete: search `{name}` is being run by another process; stop it first")
        optuna.delete_study(study_name=name, storage=url)
