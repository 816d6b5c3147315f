"""Versions and code that the workers of a search must share, and what a worker may import."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from mendsearch.errors import ModelError, UsageError
from mendsearch.fleet.digests import scoring_digest, source_digest
from mendsearch.importing import importable_from_here, is_import_path

ALLOW_VARIABLE = "MENDSEARCH_ALLOW"
CODE, USER = "mendsearch's code", "code of "


def own_versions(*names: str) -> dict[str, str]:
    """Versions of everything that decides a score, as installed here.

    They are PyTorch up to its minor version, a digest of the modules of this package that a score
    depends on, and digests of the user's packages that the network or the metric comes from.

    Args:
        names: names of the network and of the score, as a spec has them.
    """
    found = {
        "torch": ".".join(version("torch").split(".")[:2]),
        CODE: scoring_digest(),
    }
    for top in imported_packages(*names):
        found[USER + top] = source_digest(_source(top))
    return found


def imported_packages(*names: str) -> list[str]:
    """The top-level packages of those names that are import paths."""
    tops = [name.partition(":")[0].partition(".")[0] for name in names if is_import_path(name)]
    return list(dict.fromkeys(tops))


def check_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Refuse to work with other versions than those of the search's creator.

    Raises:
        UsageError: names the first difference.
    """
    for what, wanted in theirs.items():
        if ours.get(what) != wanted:
            raise UsageError(
                f"scores would not compare: the search was created with {what} {wanted}, this worker has "
                f"{ours.get(what, 'none')}; install the same here, or create the search anew under another name"
            )


def check_allowed(name: str, allow: Iterable[str]) -> None:
    """Check that this worker may import the module of the network or the metric, before any code of it runs.

    Args:
        name: name of the network or of the score, as the database has it.
        allow: packages or modules that may be imported.

    Raises:
        ModelError: the module is not among them.
    """
    if not is_import_path(name):
        return
    module = name.partition(":")[0]
    if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in allow):
        raise ModelError(
            f"the search asks to import `{module}`, which this worker does not allow; if you trust it: "
            f"--allow {module.partition('.')[0]}, or {ALLOW_VARIABLE}"
        )


def allowed(given: Iterable[str]) -> list[str]:
    """The packages given, and those in the variable `MENDSEARCH_ALLOW`, separated by commas."""
    return [*given, *filter(None, os.environ.get(ALLOW_VARIABLE, "").split(","))]


def _source(top: str) -> Path:
    """Folder of a package, or file of a module, found without running it."""
    with importable_from_here():
        spec = importlib.util.find_spec(top)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise ModelError(f"`{top}` cannot be imported; run from the folder that holds it, or install it")
    return Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else Path(str(spec.origin))
