"""The workers of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mendview import figures, trials, words, workers
from mendview.overview import Overview
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.reading import Look
from mendview.searches import Search


def fleet_page(look: Look, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Workers, leases, faults, candidates that were set aside."""
    seen, page = begin(look, search, "fleet")
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


def _crew_cards(seen: Overview, gaps: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    crew, rate, faults = seen.crew, seen.pace.rate, seen.crew.faults or {}
    named = ", ".join(f"{number} {kind}" for kind, number in faults.items() if number) or "none"
    where = f"on {words.plural(crew.hosts, 'host')}; " if crew.hosts else ""
    known = str(crew.alive if seen.live else crew.all)
    return [
        ("Workers alive" if seen.live else "Workers", known, f"{where}{crew.ended} ended by themselves"),
        ("Pace", words.count(3600 * rate) if rate and seen.state == "running" else "–", "trials an hour, of late"),
        ("Work at hand", str(crew.leased), f"being scored; {crew.waiting} waiting, {crew.retried} tried again"),
        ("Between two trials", words.span(gaps["p50"]), f"from result to claim; 99% in {words.span(gaps['p99'])}"),
        ("Faults survived", str(sum(faults.values())), named),
    ]  # fmt: skip
