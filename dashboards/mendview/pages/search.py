"""The first screen of a search."""

from __future__ import annotations

from datetime import timedelta

from mendstore import Snapshot
from mendstore.queries import trials, workers
from mendstore.queries.searches import Search
from mendview import figures, overview, words
from mendview.figures.network import movers
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.tables import CAPTION, HEADINGS, result_rows

BARS = 24
"""Spans in which endings are counted: fewer tell shares better."""


def search_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Is it going well, how good is the best network, what did mending change, is the fleet alive, when does it end."""
    seen, page = begin(snapshot, search, "search")
    total = sum(seen.pace.states.values())
    page.parts["cards"] = render("cards", seen=seen, page=page, overview=overview, movers=movers, timedelta=timedelta)
    page.layout += [Panel("cards")]
    if search.objectives > 1:
        return page
    shown = trials.ended_trials(snapshot, search, total)
    improved = trials.improvements(snapshot, search)
    page.figures["history"] = figures.history(improved, shown, seen.controls)
    page.figures["endings"] = figures.endings(trials.spans(snapshot, search, total, BARS))
    page.parts["top"] = render("top", top=seen.top, base=page.base)
    page.parts["results"] = render(
        "results", rows=result_rows(search.result, search.structure.dense_score), headings=HEADINGS, caption=CAPTION
    )
    note = "Up is better." if search.sign > 0 else "Down is better."
    if total > trials.EACH:
        note += f" {words.count(total)} trials in {len(shown)} spans; click a point for its trial."
    page.layout += [
        Panel("history", "Best score", note, whole=True, axis=True),
        Panel("endings", "Early stopping", "How trials ended.", axis=True),
    ]
    found = workers.workers(snapshot, search)
    if len(found) > 1:
        page.figures["by_worker"] = figures.by_worker(found)
        note = "One far below the others deserves a look; one that joined late saw other candidates."
        page.layout.append(Panel("by_worker", "By worker", note))
    if search.result:
        page.figures["fidelity"] = figures.fidelity(search.result)
        page.layout.append(Panel("fidelity", "Score against accuracy", "Before and after fine-tuning."))
    page.layout.append(Panel("top", "Trials"))
    if search.wanted is not None or search.result:
        page.layout.append(Panel("results", "Networks", whole=True))
    return page
