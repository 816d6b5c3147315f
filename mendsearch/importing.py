"""Import paths `package.module:factory`, found in the environment or in the working directory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mendsearch.errors import UsageError


def is_import_path(name: str) -> bool:
    """Whether `name` has the form `package.module:factory` and does not name a torchvision model."""
    return ":" in name and not name.startswith("torchvision:")


@contextmanager
def importable_from_here() -> Iterator[None]:
    """Within the scope, the working directory is searched last, so that its files hide no installed module."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)


def import_factory(name: str, error: type[UsageError]) -> Callable[..., Any]:
    """The callable that an import path names. Importing runs the module's code: only for names from the user.

    Args:
        name: `package.module:factory`.
        error: class of the error to raise if the path does not lead to a callable.
    """
    module_name, _, attribute = name.partition(":")
    try:
        with importable_from_here():
            factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, ValueError) as cause:
        raise error(f"{name} does not import: {cause}; run from the folder that holds it, or install it") from cause
    except AttributeError as cause:
        raise error(f"{name} does not import: module `{module_name}` has no `{attribute}`") from cause
    except Exception as cause:
        raise error(f"{name} does not import: {type(cause).__name__} in `{module_name}`: {cause}") from cause
    if not callable(factory):
        raise error(f"{name}: got {type(factory).__name__}, expected a callable")
    return factory  # type: ignore[no-any-return]  # checked above; getattr is untyped
