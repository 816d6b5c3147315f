"""Versions that the workers of a search must share, and what a worker may import."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from mendsearch.errors import ModelError, UsageError
from mendsearch.importing import importable_from_here, is_import_path

ALLOW_VARIABLE = "MENDSEARCH_ALLOW"
CODE, USER = "mendsearch's code", "code of "
SCORING = (
    "budget", "coupling", "mending", "models", "modes.py", "prepruning", "ranking", "reconstruction",
)  # fmt: skip
"""What of this package decides a score."""


def own_versions(model: str) -> dict[str, str]:
    """Of what decides a score: PyTorch up to its minor version, this package's code, and that of the user's network.

    Args:
        model: name of the network as a spec has it.
    """
    found = {
        "torch": ".".join(version("torch").split(".")[:2]),
        "torch-pruning": version("torch-pruning"),
        CODE: _digest(*(Path(__file__).parents[1] / part for part in SCORING)),
    }
    if is_import_path(model):
        top = model.partition(":")[0].partition(".")[0]
        found[USER + top] = _digest(_source(top))
    return found


def check_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Refuse to work with other code than the creator of the search has.

    Raises:
        UsageError: names the first thing that differs.
    """
    for what, wanted in theirs.items():
        if ours.get(what) != wanted:
            raise UsageError(
                f"scores would not compare: the search was created with {what} {wanted}, this worker has "
                f"{ours.get(what, 'none')}; install the same here, or create the search anew under another name"
            )


def check_allowed(model: str, allow: Iterable[str]) -> None:
    """See that the worker's own list allows to import the network's module, before anything of it is run.

    Args:
        model: name of the network as the database has it.
        allow: packages or modules.

    Raises:
        ModelError: it does not.
    """
    if not is_import_path(model):
        return
    module = model.partition(":")[0]
    if not any(module == name or module.startswith(f"{name}.") for name in allow):
        raise ModelError(
            f"the search asks to import `{module}`, which this worker does not allow; if you trust it: "
            f"--allow {module.partition('.')[0]}, or {ALLOW_VARIABLE}"
        )


def allowed(given: Iterable[str]) -> list[str]:
    """What was given, and what `MENDSEARCH_ALLOW` holds, with commas between."""
    return [*given, *filter(None, os.environ.get(ALLOW_VARIABLE, "").split(","))]


def _source(top: str) -> Path:
    """Folder of a package, or file of a module, without running it."""
    with importable_from_here():
        spec = importlib.util.find_spec(top)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise ModelError(f"`{top}` does not import; run from the folder that holds it, or install it")
    return Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else Path(str(spec.origin))


def _digest(*sources: Path) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(str(file.relative_to(source.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
