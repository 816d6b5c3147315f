"""Write `docs/cli.md` from the command line itself: `python docs/make_cli.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from mendsearch.cli import app

HEAD = """# The command line

Every verb that reads a database takes `[URL] [NAME]`: the URL of a Postgres database, and the name of a search in it.
Without a URL, `MENDSEARCH_STORAGE` counts, else the embedded database of this folder. Passwords belong in
`~/.pgpass` or `PGPASSWORD`, not in a URL.

| exit code | meaning |
|---|---|
| 0 | done |
| 2 | wrong usage, spec or data |
| 3 | the database cannot be reached |
| 4 | the search failed |
| 5, 6 | `status --check`: workers are at it; the search needs someone |
| 128+n | ended by signal n, with nothing lost: run the same command again to resume |

`python docs/make_cli.py` writes this page from the commands.
"""


def verbs(group: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """Every command of a group with its context, in the order of `--help`."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "list_commands"):
            yield from verbs(command, inner)
        else:
            yield command, inner


def section(command: Any, context: Any) -> str:
    """One command: its usage, what it does, its arguments and options."""
    records = [record for part in command.params if (record := part.get_help_record(context))]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records]
    usage = command.get_usage(context).removeprefix("Usage: ")
    table = "\n".join(["| argument or option | |", "|---|---|", *rows])
    title = context.command_path.removeprefix("mendsearch ")
    return f"## {title}\n\n```text\n{usage}\n```\n\n{command.help}\n\n{table}"


def page() -> str:
    """The whole page."""
    root = get_command(app)
    context = root.make_context("mendsearch", [], resilient_parsing=True)
    return "\n\n".join([HEAD.strip(), *(section(*verb) for verb in verbs(root, context))]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
