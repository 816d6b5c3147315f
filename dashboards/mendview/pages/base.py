"""What a page is made of: parts of HTML, and figures that are sent again only where they changed."""

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
from mendstore.records import TITLES
from mendview import figures, overview, words
from mendview.figures.style import Figure
from mendview.overview import Overview

TEMPLATES = Path(__file__).parents[1] / "templates"

Importances = Callable[[Search, int], Mapping[str, float] | None]


@dataclass
class Page:
    """What a page shows at one moment.

    Attributes:
        kind: search, network, front, fleet, trial, or searches.
        title: as plain text.
        what: a line about it, as plain text.
        study_id: of the search, or None.
        live: it changes.
        parts: HTML by the identifier of its place.
        figures: by the identifier of their place.
        layout: titles and notes of the figures, by place, in order; parts stand between them.
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
        """Of links between the pages of a search."""
        return "" if self.study_id is None else f"/mend/{self.study_id}/"


@dataclass(frozen=True)
class Panel:
    """A place on a page: of a figure, or of a part of HTML.

    Attributes:
        key: identifier of the place.
        title: of a figure, or of the panel around a part; empty for a part without a panel.
        note: what it shows, in a sentence.
        whole: over the whole width.
        axis: a figure whose horizontal axis may be time.
    """

    key: str
    title: str = ""
    note: str = ""
    whole: bool = False
    axis: bool = False


def render(name: str, /, **values: Any) -> str:
    """HTML of a template; whatever is put into it is escaped."""
    return str(_template(name).render(words=words, titles=TITLES, **values))


@cache
def _template(name: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{name}.tpl", lookup=[str(TEMPLATES)])


def begin(snapshot: Snapshot, search: Search, kind: str) -> tuple[Overview, Page]:
    """A search at a glance, and a page of it with the verdict."""
    seen = overview.overview(snapshot, search)
    budget = ", ".join(
        f"{words.amount(limit)} {figures.COSTS.get(cost, cost)}"
        + (f" ({limit / search.structure.dense[cost]:.0%} of dense)" if search.structure.dense.get(cost) else "")
        for cost, limit in search.structure.budget.items()
    )
    what = ", ".join(filter(None, (search.model, f"budget {budget}" if budget else "")))
    page = Page(kind, search.name, what or "a study of Optuna", search.study_id, seen.live)
    page.parts["verdict"] = render("verdict", seen=seen, overview=overview)
    page.layout.append(Panel("verdict"))
    if search.unreadable:
        page.parts["unreadable"] = render("unreadable", reasons=search.unreadable)
        page.layout.append(Panel("unreadable"))
    return seen, page


def short(value: Any) -> str:
    """A hash by which the viewer says what it has."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
