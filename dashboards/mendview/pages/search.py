"""The first screen of a search."""

from __future__ import annotations

from datetime import timedelta

from mendview import figures, overview, trials, words, workers
from mendview.figures.network import movers
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.reading import Look
from mendview.searches import Search
from mendview.tables import CAPTION
from mendview.trials import EACH

BARS = 24
"""Spans in which endings are counted: fewer tell shares better."""


def search_page(look: Look, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Is it going well, how good is the best network, what did mending change, is the fleet alive, when does it end."""
    seen, page = begin(look, search, "search")
    total = sum(seen.pace.states.values())
    page.parts["cards"] = render("cards", seen=seen, page=page, overview=overview, movers=movers, timedelta=timedelta)
    page.layout += [Panel("cards")]
    if search.objectives > 1:
        return page
    spanned = total > EACH
    shown = trials.spans(look, search, total) if spanned else trials.each(look, search)
    improved = trials.improvements(look, search)
    page.figures["history"] = figures.history(improved, shown, spanned, seen.controls)
    page.figures["endings"] = figures.endings(trials.spans(look, search, total, BARS))
    page.parts["top"] = render("top", top=seen.top, base=page.base)
    page.parts["results"] = render(
        "results", results=search.results, dense_score=search.structure.dense_score, caption=CAPTION
    )
    note = "Up is better." if search.sign > 0 else "Down is better."
    if spanned:
        note += f" {words.count(total)} trials in {len(shown)} spans; click a point for its trial."
    page.layout += [
        Panel("history", "Best score", note, whole=True, axis=True),
        Panel("endings", "Early stopping", "How trials ended.", axis=True),
    ]
    found = workers.workers(look, search)
    if len(found) > 1:
        page.figures["by_worker"] = figures.by_worker(found)
        note = "One far below the others deserves a look; one that joined late saw other candidates."
        page.layout.append(Panel("by_worker", "By worker", note))
    if sum("score" in row for row in search.results.values()) > 1:
        page.figures["fidelity"] = figures.fidelity(search.results)
        page.layout.append(Panel("fidelity", "Score against accuracy", "Before and after fine-tuning."))
    page.layout.append(Panel("top", "Trials"))
    if search.wanted is not None or search.results:
        page.layout.append(Panel("results", "Networks", whole=True))
    return page
