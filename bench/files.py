"""Where figures and intermediate results are kept, and how figures are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mendsearch.files import read_json, write_json, write_text

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
"""Figures behind the tables and plots of `docs/results/`; in version control."""

WORK = ROOT / "bench" / "work"
"""Trained networks, databases and unfinished results, so that an interrupted run resumes; not in version control."""

WIDTH = 120


def write_figures(name: str, value: Any) -> None:
    """Write `bench/results/NAME.json`, with lists and objects that fit into a line on one line."""
    write_text(RESULTS / f"{name}.json", dumps(value) + "\n")


def read_figures(name: str) -> Any:
    """Figures written before, or None."""
    return read_json(RESULTS / f"{name}.json")


def dumps(value: Any, indent: int = 0, used: int = 0) -> str:
    """JSON text; a list or object is broken over lines only where it is longer than a line.

    Args:
        value: what `json.dumps` accepts.
        indent: spaces before the line.
        used: characters of the line that are taken by the key.
    """
    flat = json.dumps(value)
    if indent + used + len(flat) < WIDTH or not isinstance(value, list | tuple | dict) or not value:
        return flat
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        keys = [json.dumps(str(key)) + ": " for key in value]
        parts = [key + dumps(each, indent + 1, len(key)) for key, each in zip(keys, value.values(), strict=True)]
        return "{\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + "}"
    if all(isinstance(each, int | float) for each in value):
        return "[\n" + "\n".join(_filled(value, inner)) + "\n" + " " * indent + "]"
    return "[\n" + ",\n".join(inner + dumps(each, indent + 1) for each in value) + "\n" + " " * indent + "]"


def _filled(numbers: list[float], inner: str) -> list[str]:
    """Lines of numbers, each as full as it may be."""
    lines = [inner]
    for index, number in enumerate(numbers):
        text = json.dumps(number) + ("," if index + 1 < len(numbers) else "")
        if len(lines[-1]) + 1 + len(text) > WIDTH and lines[-1] != inner:
            lines.append(inner)
        lines[-1] += text if lines[-1] == inner else " " + text
    return lines


def kept(file: Path, work: Callable[[], Any]) -> Any:
    """What `work` returns, read from the file of an earlier run where there is one."""
    found = read_json(file)
    if found is None:
        found = work()
        write_json(file, found)
        print(file.stem, found, flush=True)
    return found
