"""`doctor`: the machine and the study database on one screen."""

from __future__ import annotations

from rich.table import Table

import mendstore
from mendsearch import diagnosis
from mendsearch.cli.common import Json, guarded, has_storage, show, storage_of
from mendsearch.cli.target import Url


@guarded
def doctor(url: Url = None, as_json: Json = False) -> None:
    """Show what of this machine and its study database matters to a search, to paste into an issue."""
    facts = diagnosis.machine()
    failed: mendstore.StorageError | None = None
    try:
        there = has_storage(url)
        facts["database"] = diagnosis.database(storage_of(url)) if there else {"url": "none: `run` makes one here"}
    except mendstore.StorageError as error:  # the rest may tell why
        failed, facts["database"] = error, {"url": "cannot be reached"}
    table = Table(show_header=False, title="mendsearch doctor")
    for section, rows in facts.items():
        table.add_section()
        for name, value in rows.items():
            table.add_row(section, name, value)
    show(facts, table, as_json)
    if failed is not None:
        raise failed
