"""The first screen of a search."""

from __future__ import annotations

from datetime import timedelta

from mendstore import Snapshot
from mendstore.queries import trials, workers
from mendstore.queries.searches import Search
from mendview import figures, ladder, overview, words
from mendview.figures.network import movers
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.tables import caption, headings, result_rows


def search_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """How it goes, how good the best network is, what mending changed, whether the fleet is alive, when it ends."""
    seen, page = begin(snapshot, search, "search")
    total = sum(seen.pace.states.values())
    page.parts["cards"] = render("cards", seen=seen, page=page, overview=overview, movers=movers, timedelta=timedelta)
    page.layout += [Panel("cards")]
    if search.objectives > 1:
        return page
    shown = trials.ended_trials(snapshot, search, total)
    improved = trials.improvements(snapshot, search)
    page.figures["history"] = figures.history(improved, shown, seen.controls)
    page.figures["endings"] = figures.endings(trials.endings(snapshot, search, total))
    page.parts["top"] = render("top", top=seen.top, base=page.base)
    page.parts["results"] = render(
        "results", rows=result_rows(search.result, search.structure.dense_score), headings=headings(search.result),
        caption=caption(search.result),
    )  # fmt: skip
    note = "Higher is better." if search.sign > 0 else "Lower is better."
    if total > trials.EACH:
        note += f" {words.count(total)} trials in {len(shown)} spans; click a point for its trial."
    if seen.ladder is not None:
        page.parts["ladder"] = render("ladder", ladder=seen.ladder, words_of=ladder)
    page.layout += [
        Panel("history", "Best score", note, whole=True, axis=True),
        Panel("endings", "Early stopping", "How trials ended.", axis=True),
    ]
    found = workers.workers(snapshot, search)
    if len(found) > 1:
        page.figures["by_worker"] = figures.by_worker(found)
        note = "Check a worker far below the others; one that joined late scored different candidates."
        page.layout.append(Panel("by_worker", "By worker", note))
    if search.result:
        page.figures["fidelity"] = figures.fidelity(search.result)
        page.layout.append(
            Panel("fidelity", f"Score against {search.result.figure_name}", "Before and after fine-tuning.")
        )
    if seen.ladder is not None:
        note = "Refined score, and figure on validation at each part of the fine-tuning; in brackets the rank."
        page.layout.append(Panel("ladder", "Finalists", note, whole=True))
    page.layout.append(Panel("top", "Trials"))
    if search.structure.outputs:
        columns = overview.made_of(seen, seen.best)
        page.parts["outputs"] = render("outputs", outputs=search.structure.outputs, columns=columns)
        page.layout.append(Panel("outputs", "What the score is made of"))
    if search.wanted is not None or search.result:
        page.layout.append(Panel("results", "Networks", whole=True))
    return page
