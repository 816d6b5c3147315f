"""Command lines for people to paste: complete, quoted for a shell, and without a password."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mendstore.server import EmbeddedServer
from mendstore.urls import without_password

EMBEDDED = Path(".mendsearch")
"""Folder of the embedded server, in the working directory."""

IMPORTED = (("model", "name"), ("mend", "score"))
IMPORTED_TO_TUNE = (("data", "name"), ("data", "batch"), ("finetune", "function"), ("finetune", "loss"))
"""Table and key of a spec that may name an import path."""


def command(verb: str, url: str | None = None, *words: str) -> str:
    """A command line of ours, such as `mendsearch stop postgresql://me@db/searches mine`.

    Args:
        verb: verb, such as `resume` or `db upgrade`.
        url: URL of the database; left out if it is the embedded one of the working directory, where the same command
            finds it without.
        words: name of a search and options.
    """
    place = [] if url is None or _found_without(url) else [without_password(url)]
    return shlex.join(["mendsearch", *verb.split(), *place, *words])


def launch_command(url: str, name: str, spec: Mapping[str, Any], data: Path | None = None) -> str:
    """The command that starts two workers of a search, with the packages that they have to import.

    Args:
        url: URL of the database.
        name: name of the search.
        spec: spec of the search, as the database holds it, which is without any path.
        data: folder of the training data on this machine, for sources that read one.
    """
    allow = [word for package in _packages(spec) for word in ("--allow", package)]
    folder = [] if data is None else ["--data", str(data.absolute())]
    return command("launch", url, name, "--workers", "2", *allow, *folder)


def device_command(url: str, name: str, setting: Mapping[str, Any]) -> str:
    """The command that starts a device worker of a search.

    Args:
        url: URL of the database.
        name: name of the search.
        setting: `runtime` and `threads` of it.
    """
    return command("device", url, name, "--runtime", str(setting["runtime"]), "--threads", str(setting["threads"]))


def _packages(spec: Mapping[str, Any]) -> list[str]:
    """Top-level packages of the import paths that a spec names for workers; all but two are for fine-tuning alone."""
    tables = {name: table for name, table in spec.items() if isinstance(table, Mapping)}
    keys = IMPORTED + (IMPORTED_TO_TUNE if tables.get("finetune", {}).get("epochs") else ())
    names = [str(tables.get(table, {}).get(key) or "") for table, key in keys]
    paths = [name for name in names if ":" in name and not name.startswith("torchvision:")]
    return list(dict.fromkeys(path.partition(":")[0].partition(".")[0] for path in paths))


def _found_without(url: str) -> bool:
    found = EmbeddedServer(EMBEDDED).url
    return found is not None and without_password(url) == found
