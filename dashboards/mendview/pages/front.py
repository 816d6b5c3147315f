"""Accuracy against cost."""

from __future__ import annotations

from typing import Any

from mendview import figures, trials, words
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.reading import Look
from mendview.searches import Search, find_search
from mendview.tables import CAPTION


def front_page(look: Look, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Accuracy against cost, over all finished searches of the same network."""
    _, page = begin(look, search, "front")
    runs = _runs(look, search)
    if runs:
        titles = {
            "macs": "Accuracy against MACs",
            "params": "Accuracy against parameters",
            "latency_ms": "Accuracy against latency",
        }
        for cost, title in titles.items():
            page.figures[f"front_{cost}"] = figures.front(runs, cost)
            page.layout.append(
                Panel(
                    f"front_{cost}",
                    title,
                    f"Of {words.plural(len(runs), 'finished search', 'finished searches')} of this network.",
                )
            )
    else:
        page.parts["none"] = (
            '<p class="note">Accuracies appear here when a search of this network has ended and is fine-tuned.</p>'
        )
        page.layout.append(Panel("none", "Accuracy"))
    points = [row for row in trials.scattered(look, search) if row["params"] is not None or row["macs"] is not None]
    if points:
        for cost, title in (("params", "Score against parameters"), ("macs", "Score against MACs")):
            page.figures[f"trials_{cost}"] = figures.scatter(points, cost, search.sign)
            page.layout.append(Panel(f"trials_{cost}", title, "The better trials and an even sample of the others."))
    page.parts["results"] = render(
        "results", results=search.results, dense_score=search.structure.dense_score, caption=CAPTION
    )
    page.layout.append(Panel("results", "Networks", whole=True))
    return page


def _runs(look: Look, search: Search) -> dict[str, dict[str, Any]]:
    """Results of this search, and of others of the same network."""
    runs = {search.name: search.results} if search.results else {}
    rows = look.all("SELECT study_id FROM study_user_attributes WHERE key = 'results' ORDER BY study_id DESC LIMIT 50")
    for row in rows:
        other = find_search(look, study_id=row["study_id"])
        same = other is not None and other.model == search.model and other.structure.dense == search.structure.dense
        if other is not None and same and other.results:
            runs[other.name] = other.results
    return runs
