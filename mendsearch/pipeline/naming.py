"""A run of another spec beside one that is there: its own folder and its own name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mendsearch.config import Spec
from mendsearch.pipeline.folder import differences

LONGEST = 30
"""Characters of what is added to a name, at most; a number serves where it would be longer."""


def beside(spec: Spec, folder: Path) -> tuple[Spec, Path, str]:
    """The spec and the folder of a run whose usual folder may hold another one.

    The same spec gives the same folder each time, so that the same command resumes.

    Args:
        spec: the spec, with the name that it was given.
        folder: folder in which it would run.

    Returns:
        spec, with another name if the folder is taken; folder; and what was changed, in a sentence, or "".
    """
    changed = differences(spec, folder)
    if not changed:
        return spec, folder, ""
    said = ", ".join(f"{key} = {old!r}" for key, (old, _) in changed.items())
    for name in _names(spec.name, {key: new for key, (_, new) in changed.items()}):
        own, place = spec.model_copy(update={"name": name}), folder.parent / name
        if not differences(own, place):
            return own, place, f"{folder} holds a run with {said}; this one is `{name}`, in {place}"
    raise AssertionError("numbers do not end")


def _names(name: str, changed: dict[str, Any]) -> Iterator[str]:
    """Names to try: by what is changed, then numbered."""
    keys = {key.rpartition(".")[2]: word(value) for key, value in changed.items()}
    words = "-".join(f"{key}-{word}" for key, word in keys.items())
    if len(keys) == len(changed) <= 2 and len(words) <= LONGEST:
        name = f"{name}-{words}"
        yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def word(value: Any) -> str:
    """A value as part of a name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", str(value).replace("%", "-percent")).strip("-.") or "none"
