"""The workers of a search."""

from __future__ import annotations

from mendstore import Snapshot
from mendstore.queries import trials, workers
from mendstore.queries.fleet import events, retried, set_aside
from mendstore.queries.pace import throughput
from mendstore.queries.searches import Search
from mendstore.queries.workers import Gaps
from mendview import devices, figures, words
from mendview.overview import Overview
from mendview.pages.base import Importances, Page, Panel, begin, render


def fleet_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Workers, leases, device workers, faults, candidates that were set aside."""
    seen, page = begin(snapshot, search, "fleet")
    found = workers.workers(snapshot, search)
    if seen.fleet.all:
        gaps, again = workers.claim_gaps(snapshot, search), retried(snapshot, search)
        page.parts["status"] = render("status", cards=_cards(seen, gaps, again))
        page.layout.append(Panel("status"))
    if spans := throughput(snapshot, search, seen.pace):
        page.figures["throughput"] = figures.throughput(spans)
        page.layout.append(Panel("throughput", "Trials per hour", "By host.", whole=True))
    page.parts["workers"] = render("workers", workers=found)
    page.layout.append(Panel("workers", "Workers", whole=True))
    if seen.devices is not None:
        page.parts["devices"] = render("devices", found=seen.devices, devices=devices)
        page.layout.append(Panel("devices", "Device workers", whole=True))
    page.parts["events"] = render("events", events=events(snapshot, search))
    page.parts["aside"] = render(
        "aside", aside=set_aside(snapshot, search), failures=trials.latest_failures(snapshot, search), base=page.base
    )
    page.layout += [
        Panel("aside", "Candidates set aside and failed attempts"),
        Panel("events", "Events"),
    ]
    return page


def _cards(seen: Overview, gaps: Gaps, again: int) -> list[tuple[str, str, str]]:
    fleet, rate, faults = seen.fleet, seen.pace.rate, seen.fleet.faults
    named = ", ".join(f"{number} {kind}" for kind, number in faults.items() if number) or "none"
    where = f"on {words.plural(fleet.hosts, 'host')}; " if fleet.hosts else ""
    known = str(fleet.alive if seen.live else fleet.all)
    return [
        ("Workers alive" if seen.live else "Workers", known, f"{where}{fleet.ended} ended by themselves"),
        ("Pace", words.count(3600 * rate) if rate and seen.state == "running" else "–", "trials per hour, recently"),
        ("Candidates", str(fleet.working), f"being scored; {fleet.waiting} waiting, {again} tried again"),
        ("Between two trials", words.span(gaps.p50), f"from result to claim; 99% in {words.span(gaps.p99)}"),
        ("Faults survived", str(sum(faults.values())), named),
    ]  # fmt: skip
