"""Our pages: what each asks the database, as parts of HTML and figures that are sent again only where they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from bottle import SimpleTemplate

from mendview import figures, overview, trials, words, workers
from mendview.figures.network import movers
from mendview.figures.style import Figure
from mendview.overview import Overview
from mendview.reading import Look
from mendview.searches import Search, find_search, list_searches
from mendview.structure import TITLES, Counts
from mendview.tables import CAPTION
from mendview.trials import EACH, Trial

TEMPLATES = Path(__file__).parent / "templates"
AGREEING = 20
"""Best trials whose agreement is shown."""

Known = dict[str, float]
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


def searches_page(look: Look) -> Page:
    """All searches of the database."""
    found = list_searches(look)
    page = Page("searches", "Searches")
    page.parts["searches"] = render("searches", searches=found, optuna=look.optuna)
    page.layout = [Panel("searches")]
    return page


def search_page(look: Look, search: Search, known: Known, importances: Importances, number: int | None = None) -> Page:
    """Is it going well, how good is the best network, what did mending change, is the fleet alive, when does it end."""
    seen, page = _begin(look, search, known, "search")
    total = sum(seen.pace.states.values())
    page.parts["cards"] = render("cards", seen=seen, page=page, overview=overview, movers=movers, timedelta=timedelta)
    page.layout += [Panel("cards")]
    if search.objectives > 1:
        return page
    spans, spanned = trials.spans(look, search, total), total > EACH
    shown = spans if spanned else trials.each(look, search)
    improved = trials.improvements(look, search)
    page.figures["history"] = figures.history(improved, shown, spanned, seen.controls)
    page.figures["endings"] = figures.endings(spans)
    page.parts["top"] = render("top", top=trials.top(look, search), base=page.base)
    page.parts["results"] = render(
        "results", results=search.results, dense_score=search.structure.dense_score, caption=CAPTION
    )
    note = "Up is better." if search.sign > 0 else "Down is better."
    if spanned:
        note += f" {words.count(total)} trials in {len(spans)} spans; click a point for its trial."
    page.layout += [
        Panel("history", "Best score", note, whole=True, axis=True),
        Panel("endings", "Early stopping", "How trials ended.", axis=True),
    ]
    found = workers.workers(look, search)
    if found:
        page.figures["by_worker"] = figures.by_worker(found)
        page.layout.append(
            Panel("by_worker", "By worker", "They should agree: a candidate scores the same everywhere.")
        )
    if sum("score" in row for row in search.results.values()) > 1:
        page.figures["fidelity"] = figures.fidelity(search.results)
        page.layout.append(Panel("fidelity", "Score against accuracy", "Before and after fine-tuning."))
    page.layout.append(Panel("top", "Trials"))
    if search.wanted is not None or search.results:
        page.layout.append(Panel("results", "Networks"))
    return page


def network_page(look: Look, search: Search, known: Known, importances: Importances, number: int | None = None) -> Page:
    """Every coupling group in network order, and what mending does to it."""
    seen, page = _begin(look, search, known, "network")
    structure, kept = search.structure, overview.mended(search, seen.best)
    if not structure.widths or not kept:
        text = "No structure yet: it is known when the search was made by mendsearch and a trial has a score."
        page.parts["none"] = f'<p class="empty">{text}</p>'
        page.layout.append(Panel("none"))
    else:
        best = "the result" if search.results.get("mended") else f"trial {seen.best.number if seen.best else '?'}"
        page.figures["channels"] = figures.channels(structure, kept)
        page.parts["groups"] = render("groups", changes=seen.changes, title="mended")
        restored = sum(max(0, change.kept - change.floor) for change in seen.changes)
        note = f"Of {best}, in network order. Hatched: {words.count(restored)} channels restored to the floor."
        page.layout += [Panel("channels", "Channels", note, whole=True), Panel("groups")]
        if structure.layers:
            page.figures["macs"] = figures.macs(structure, kept)
            page.layout.append(Panel("macs", "MACs by layer", "Before and after."))
        if structure.error_curves:
            page.figures["errors"] = figures.errors(structure, kept)
            note = "What the channels that are gone cost, each coupling group alone, before any other is cut."
            page.layout.append(Panel("errors", "Reconstruction error", note))
        top = [trial.keep_counts for trial in trials.top(look, search, AGREEING)]
        page.figures["agreement"] = figures.agreement(structure, top)
        note = "Median, least and most that the best trials keep. A short line: they agree."
        page.layout.append(Panel("agreement", "What the best trials agree on", note))
    values = importances(search, seen.pace.states.get("complete", 0))
    if values:
        page.figures["importance"] = figures.importance(structure.groups, values)
    note = "Of each coupling group's restoration for the score (PED-ANOVA over a sample of the trials), computed aside."
    page.layout.append(Panel("importance", "Importance", note))
    return page


def front_page(look: Look, search: Search, known: Known, importances: Importances, number: int | None = None) -> Page:
    """Accuracy against cost, over all finished searches of the same network."""
    _, page = _begin(look, search, known, "front")
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


def fleet_page(look: Look, search: Search, known: Known, importances: Importances, number: int | None = None) -> Page:
    """Workers, leases, faults, candidates that were set aside."""
    seen, page = _begin(look, search, known, "fleet")
    found = workers.workers(look, search)
    if seen.crew.all:
        page.parts["crew"] = render("crew", cards=_crew_cards(seen, workers.claim_gaps(look, search)))
        page.layout.append(Panel("crew"))
    if seen.pace.first and seen.pace.last:
        spans = workers.throughput(look, search, seen.pace.first, seen.pace.last)
        if spans:
            page.figures["throughput"] = figures.throughput(spans)
            page.layout.append(Panel("throughput", "Trials an hour", "By host.", whole=True))
    page.parts["workers"] = render("workers", workers=found, name=search.name)
    page.parts["events"] = render("events", events=workers.events(look, search))
    page.parts["aside"] = render(
        "aside", aside=workers.set_aside(look, search), failures=trials.latest_failures(look, search), base=page.base
    )
    page.layout += [
        Panel("workers", "Workers", whole=True),
        Panel("aside", "Candidates set aside, and attempts that failed"),
        Panel("events", "Events"),
    ]
    return page


def trial_page(look: Look, search: Search, known: Known, importances: Importances, number: int | None = None) -> Page:
    """One candidate against the best, layer by layer; its log if it failed. The best one where no number is given."""
    seen, page = _begin(look, search, known, "trial")
    trial = seen.best if number is None else trials.one(look, search, number)
    names = {worker.worker_id: worker for worker in workers.workers(look, search)} if trial and trial.worker else {}
    page.parts["trial"] = render(
        "trial", trial=trial, best=seen.best, number=number, base=page.base, done=seen.pace.done,
        dense=search.structure.dense, worker=names.get(trial.worker) if trial and trial.worker else None,
    )  # fmt: skip
    page.layout.append(Panel("trial"))
    if trial is not None and trial.keep_counts and search.structure.widths:
        other = {"best": seen.best.keep_counts} if seen.best and seen.best.number != trial.number else {}
        page.figures["channels"] = figures.channels(search.structure, trial.keep_counts, f"trial {trial.number}", other)
        page.parts["layers"] = render(
            "layers", rows=_layers(search, trial, seen.best), best=seen.best.number if seen.best else None
        )
        page.layout += [
            Panel("channels", "Channels", "Dots: what the best trial keeps." if other else "", whole=True),
            Panel("layers", "Layers", whole=True),
        ]
    return page


PAGES: dict[str, Callable[[Look, Search, Known, Importances, int | None], Page]] = {
    "search": search_page, "network": network_page, "front": front_page, "fleet": fleet_page, "trial": trial_page,
}  # fmt: skip


def short(value: Any) -> str:
    """A hash by which the viewer says what it has."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _begin(look: Look, search: Search, known: Known, kind: str) -> tuple[Overview, Page]:
    seen = overview.overview(look, search, known)
    budget = ", ".join(
        f"{words.amount(limit)} {figures.COSTS.get(cost, cost)}"
        + (f" ({limit / search.structure.dense[cost]:.0%} of dense)" if search.structure.dense.get(cost) else "")
        for cost, limit in search.structure.budget.items()
    )
    what = ", ".join(filter(None, (search.model, f"budget {budget}" if budget else "")))
    page = Page(kind, search.name, what or "a study of Optuna", search.study_id, seen.live)
    page.parts["verdict"] = render("verdict", seen=seen, overview=overview)
    page.layout.append(Panel("verdict"))
    return seen, page


def _crew_cards(seen: Overview, gaps: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    crew, rate, faults = seen.crew, seen.pace.rate, seen.crew.faults or {}
    named = ", ".join(f"{number} {kind}" for kind, number in faults.items() if number) or "none"
    where = f"on {words.plural(crew.hosts, 'host')}; " if crew.hosts else ""
    known = f"{crew.alive} of {crew.alive + crew.silent + crew.lost}" if seen.live else str(crew.all)
    return [
        ("Workers alive" if seen.live else "Workers", known, f"{where}{crew.ended} ended by themselves"),
        ("Pace", words.count(3600 * rate) if rate and seen.state == "running" else "–", "trials an hour, of late"),
        ("Work at hand", str(crew.leased), f"being scored; {crew.waiting} waiting, {crew.retried} tried again"),
        ("Between two trials", words.span(gaps["p50"]), f"from result to claim; 99% in {words.span(gaps['p99'])}"),
        ("Faults survived", str(sum(faults.values())), named),
    ]  # fmt: skip


def _layers(search: Search, trial: Trial, best: Trial | None) -> list[dict[str, Any]]:
    structure, kept = search.structure, trial.keep_counts
    other: Counts = best.keep_counts if best else {}
    if not structure.layers:
        return [
            {"layer": "–", "group": name, "kept": kept.get(name, "–"), "width": width, "best": other.get(name, "–"),
             "macs": None, "share": None}
            for name, width in structure.widths.items()
        ]  # fmt: skip
    return [
        {
            "layer": layer.name, "group": layer.writes or "–", "kept": kept.get(layer.writes or "", "–"),
            "width": structure.widths.get(layer.writes or "", "–"), "best": other.get(layer.writes or "", "–"),
            "macs": layer.macs * structure.share(layer, kept), "share": structure.share(layer, kept),
        }
        for layer in structure.layers
    ]  # fmt: skip


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
