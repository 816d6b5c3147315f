"""The parts of a page: HTML and figures, which are sent again only if they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bottle import SimpleTemplate

from mendstore import Snapshot
from mendstore.queries.searches import Search
from mendstore.records import title
from mendview import overview, words
from mendview.figures.style import Figure
from mendview.overview import Overview

TEMPLATES = Path(__file__).parents[1] / "templates"

Importances = Callable[[Search, int], Mapping[str, float] | None]


@dataclass
class Page:
    """The content of a page at one moment.

    Attributes:
        kind: search, network, front, fleet, trial, or searches.
        title: title as plain text.
        what: a line about it as plain text.
        study_id: id of the search's study, or None.
        live: whether it still changes.
        parts: HTML by the id of its element.
        figures: figures by the id of their element.
        layout: the elements in order, with titles and notes.
    """

    kind: str
    title: str
    what: str = ""
    study_id: int | None = None
    live: bool = True
    parts: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    layout: list[Panel] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Path of the pages of the search."""
        return "" if self.study_id is None else f"/mend/{self.study_id}/"


@dataclass(frozen=True)
class Panel:
    """An element of a page: a figure or a part of HTML.

    Attributes:
        key: id of the element.
        title: title of the panel around it; empty for a part without a panel.
        note: sentence that explains it.
        whole: whether it takes the whole width.
        axis: whether the horizontal axis of the figure can show time.
    """

    key: str
    title: str = ""
    note: str = ""
    whole: bool = False
    axis: bool = False


def render(name: str, /, **values: Any) -> str:
    """HTML of a template; all values are escaped."""
    return str(_template(name).render(words=words, title_of=title, **values))


@cache
def _template(name: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{name}.tpl", lookup=[str(TEMPLATES)])


def begin(snapshot: Snapshot, search: Search, kind: str) -> tuple[Overview, Page]:
    """A search at a glance, and a page of it with the verdict."""
    seen = overview.overview(snapshot, search)
    budget = overview.budget(seen)
    what = ", ".join(filter(None, (search.model, f"budget {budget}" if budget else "")))
    page = Page(kind, search.name, what or "a study of Optuna", search.study_id, seen.live)
    page.parts["verdict"] = render("verdict", seen=seen, overview=overview)
    page.layout.append(Panel("verdict"))
    if search.unreadable:
        page.parts["unreadable"] = render("unreadable", reasons=search.unreadable)
        page.layout.append(Panel("unreadable"))
    return seen, page


def short(value: Any) -> str:
    """A hash by which a browser says what it has."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
