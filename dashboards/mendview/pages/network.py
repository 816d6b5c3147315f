"""The network by coupling group."""

from __future__ import annotations

from collections.abc import Mapping

from mendstore import Snapshot
from mendstore.queries import trials
from mendstore.queries.searches import Search
from mendstore.records import Timing, title
from mendview import figures, overview, words
from mendview.importance import LEAST
from mendview.pages.base import Importances, Page, Panel, begin, render

AGREEING = 20
"""Number of best trials whose channels are compared."""


def network_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Each coupling group in network order, and how mending changes it."""
    seen, page = begin(snapshot, search, "network")
    structure, kept = search.structure, overview.mended(search, seen.best)
    if not structure.widths or not kept:
        text = "No structure yet: it appears once a trial of a search has a score."
        page.parts["none"] = f'<p class="empty">{text}</p>'
        page.layout.append(Panel("none"))
    else:
        shown = title(search.result.exported) if search.result else "mended"
        best = "the result" if search.result else f"trial {seen.best.number if seen.best else '?'}"
        page.figures["channels"] = figures.channels(structure, kept, shown)
        page.parts["groups"] = render("groups", changes=seen.changes, title=shown)
        restored = sum(max(0, change.kept - change.floor) for change in seen.changes)
        note = f"Of {best}, in network order. Hatched: {words.count(restored)} channels restored above the floor."
        page.layout += [Panel("channels", "Channels", note, whole=True), Panel("groups")]
        if structure.layers:
            page.figures["macs"] = figures.macs(structure, kept, shown)
            page.layout.append(Panel("macs", "MACs by layer", "Before and after."))
        for limit, timing in (search.result.timings if search.result else {}).items():
            _add_times(page, words.device(limit), timing, search.result.exported if search.result else "")
        if structure.error_curves:
            page.figures["errors"] = figures.errors(structure, kept, shown)
            note = "The error that each coupling group causes alone, with all other groups at full width."
            page.layout.append(Panel("errors", "Reconstruction error", note))
        top = [trial.keep_counts for trial in trials.top(snapshot, search, AGREEING)]
        page.figures["agreement"] = figures.agreement(structure, top)
        note = "Median, least and most channels that the best trials keep. A short line means that they agree."
        page.layout.append(Panel("agreement", "What the best trials agree on", note))
    complete = seen.pace.states.get("complete", 0)
    values = importances(search, complete)
    unknown = _unknown(values, complete)
    if unknown:
        page.parts["no_importance"] = f'<p class="note">{unknown}</p>'
        page.layout.append(Panel("no_importance", "Importance"))
        return page
    if values:
        page.figures["importance"] = figures.importance(structure.groups, values)
    note = "How much the score depends on each coupling group (PED-ANOVA over a sample of trials)."
    page.layout.append(Panel("importance", "Importance", note))
    return page


def _add_times(page: Page, device: str, timing: Timing, exported: str) -> None:
    """Times of a result on a device of its budget, whose name is "" where there is one alone."""
    of, on = f"_{device}" if device else "", f" on {device}" if device else ""
    if timing.layers_ms:
        page.figures[f"layer_times{of}"] = figures.layer_times(timing, exported)
        note = f"As the latency model says for {timing.setting.get('runtime')} on {timing.setting.get('device')}."
        page.layout.append(Panel(f"layer_times{of}", f"Time by layer{on}", note))
    if timing.measured_ms:
        page.figures[f"predictions{of}"] = figures.predictions(timing)
        noise = "" if timing.noise is None else f" The noise of the machine was {timing.noise:.1%}."
        panel = Panel(f"predictions{of}", f"Measured against predicted time{on}", f"Of the finalists.{noise}")
        page.layout.append(panel)


def _unknown(values: Mapping[str, float] | None, complete: int) -> str:
    """Why there is no importance, and will be none before there are more trials; "" where there is or will be."""
    if complete < LEAST:
        return f"Known once {LEAST} trials are scored in full; there are {complete}."
    return "" if values or values is None else "Not known: the scores, or the restorations, hardly vary."
