"""A search as one self-contained HTML file, which opens offline and prints."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from mendstore import Snapshot
from mendstore.queries.searches import Search, find_search
from mendview.importance import importance
from mendview.pages import Page, front_page, network_page, render, search_page
from mendview.scripts import PLOTLY, STATIC, in_letters
from mendview.server.answers import body, embedded

LINKS = re.compile(r'<a href="/(?:mend|dashboard)[^"]*">(.*?)</a>', re.DOTALL)


def report_of(snapshot: Snapshot, search: Search) -> str:
    """The report of a search of a database, finished or not."""

    def importances(search: Search, complete: int) -> Mapping[str, float] | None:
        try:
            return importance(snapshot, search)
        except (ValueError, RuntimeError):  # Optuna refuses if nothing varies
            return {}

    pages = [make(snapshot, search, importances) for make in (search_page, network_page, front_page)]
    merged = Page("report", search.name, pages[0].what, search.study_id)
    for page in pages:
        merged.parts |= page.parts
        merged.figures |= page.figures
        shown = {panel.key for panel in merged.layout}
        there = page.parts.keys() | page.figures.keys()
        merged.layout += [panel for panel in page.layout if panel.key in there - shown]
    return self_contained(merged)


def report_named(snapshot: Snapshot, name: str) -> str | None:
    """The report of the search of that name, or None if there is none."""
    search = find_search(snapshot, name=name)
    return None if search is None else report_of(snapshot, search)


def save(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def self_contained(page: Page) -> str:
    """A page with its styles, its scripts and Plotly inside, and without links to other pages."""
    page.parts = {key: LINKS.sub(r"\1", text) for key, text in page.parts.items()}
    given = {
        "api": "",
        "base": "",
        "shape": "",
        "figures": page.figures,
        "hashes": {},
        "live": False,
        "every": 0,
        "found": True,
    }
    inside = {name: (STATIC / name).read_text(encoding="utf-8") for name in ("mend.css", "theme.js")}
    return render(
        "report", page=page, body=body(page), given=embedded(given), css=inside["mend.css"], theme=inside["theme.js"],
        script=in_letters("mend.js"), plotly=in_letters(PLOTLY),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )  # fmt: skip
