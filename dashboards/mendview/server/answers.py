"""Pages as they are sent: rendered once for all who ask at the same time, with updates that hold only changes."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from mendstore import Reader, Snapshot
from mendstore.queries.searches import find_search
from mendview.importance import Importances
from mendview.pages import PAGES, Page, render, searches_page, short

FRESH_S = 1.0
"""Seconds for which an answer is reused."""
KEPT = 64
EVERY_MS = 2000
"""Milliseconds between two requests of a page."""


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = -FRESH_S
    page: Page | None = None


class Answers:
    """Pages by search and kind.

    Args:
        reader: reader of the database.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._importances = Importances(reader)
        self._entries: dict[tuple[int | None, str, int | None], _Entry] = {}
        self._lock = threading.Lock()

    def page(self, study_id: int | None, kind: str, number: int | None = None) -> Page | None:
        """The page as it is now, or None if there is no such search.

        Raises:
            mendstore.StorageError: the database cannot be reached.
        """
        key = (study_id, kind, number)
        with self._lock:
            if len(self._entries) > KEPT:
                self._entries.clear()
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if time.monotonic() - entry.at >= FRESH_S:
                entry.page = self._reader.read(lambda snapshot: self._make(snapshot, *key))
                entry.at = time.monotonic()
            return entry.page

    def _make(self, snapshot: Snapshot, study_id: int | None, kind: str, number: int | None) -> Page | None:
        if study_id is None:
            return searches_page(snapshot)
        search = find_search(snapshot, study_id=study_id)
        if search is None:
            return None
        return PAGES[kind](snapshot, search, self._importances, number)


def whole(page: Page, api: str, found: bool = True, unreachable: str = "") -> str:
    """A page as HTML with all its figures, for one request."""
    hashes = {key: short(text) for key, text in page.parts.items()}
    hashes |= {f"figure {key}": short(figure) for key, figure in page.figures.items()}
    given = {
        "api": api, "base": page.base, "shape": shape(page), "figures": page.figures, "hashes": hashes,
        "live": page.live, "every": EVERY_MS, "found": found, "unreachable": unreachable,
    }  # fmt: skip
    return render("layout", page=page, body=body(page), given=embedded(given))


def body(page: Page) -> str:
    """The elements of a page in order, with their content."""
    pieces, panels = [], []
    for panel in page.layout:
        if panel.key not in page.parts:
            panels.append(render("panel", **vars(panel)))
        elif panel.title:
            whole = " whole" if panel.whole else ""
            title = render("title", title=panel.title)
            panels.append(
                f'<section class="panel{whole}">{title}<div id="{panel.key}">{page.parts[panel.key]}</div></section>'
            )
        elif panels and panel.key == "groups":
            panels.append(f'<section class="panel whole"><div id="{panel.key}">{page.parts[panel.key]}</div></section>')
        else:
            pieces.append(f'<div id="{panel.key}">{page.parts[panel.key]}</div>')
    return "\n".join([*pieces, '<div class="panels">', *panels, "</div>"])


def shape(page: Page) -> str:
    """A hash of the elements of a page; a browser that has others must reload it."""
    return short([panel.key for panel in page.layout])


def embedded(value: Any) -> str:
    """JSON that is safe in a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def changed(page: Page, have: set[str]) -> dict[str, Any]:
    """The parts and figures that a browser lacks, given the hashes of those that it has."""
    parts = {key: {"hash": short(text), "html": text} for key, text in page.parts.items()}
    drawn = {key: {"hash": short(figure), "figure": figure} for key, figure in page.figures.items()}
    return {
        "live": page.live,
        "shape": shape(page),
        "parts": {key: part for key, part in parts.items() if part["hash"] not in have},
        "figures": {key: part for key, part in drawn.items() if part["hash"] not in have},
    }
