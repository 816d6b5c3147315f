"""Spec files: TOML, with overrides from the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mendsearch.config.base import describe
from mendsearch.config.spec import Spec
from mendsearch.errors import SpecError


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Read a spec file.

    Args:
        path: a TOML file.
        overrides: `key=value` pairs with dots in the key, the value in TOML or a bare string; they override the file.

    Raises:
        SpecError: the file is missing, is not TOML, or holds an unknown key or a wrong value.
    """
    return parse_spec(read_table(path, overrides), origin=str(path))


def read_table(path: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """As `load_spec`, before the keys and their values are checked."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"spec {path} cannot be read: {getattr(error, 'strerror', None) or error}; give the path of a TOML file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"spec {path} is not TOML: {error}") from error
    return overridden(table, overrides)


def overridden(table: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """The table of a spec, changed by `key=value` pairs.

    Raises:
        SpecError: one of them is no such pair, or its key leads into a value.
    """
    for override in overrides:
        _apply(table, override)
    return table


def parse_spec(table: dict[str, Any], origin: str) -> Spec:
    """Make a `Spec` from a table.

    Args:
        table: the parsed file.
        origin: where it comes from, for the message.

    Raises:
        SpecError: one line that names the first wrong key, what it got, and what is expected.
    """
    try:
        return Spec.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"spec {origin}: {describe(error)}") from None


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {override}: expected key=value, such as mend.trials=200")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if text.lstrip().startswith(("[", "{")):
            raise SpecError(
                f"--set {override}: expected a value in TOML, such as 'budget.macs=[0.5, 0.3]', in quotes where the "
                f"shell needs them: {error}"
            ) from error
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise SpecError(f"--set {override}: `{parent}` is a value, not a table")
    table[last] = value
