"""One self-contained HTML file of a search: it opens offline, prints, and can be sent to a colleague."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mendview import figures, overview
from mendview.figures.network import movers
from mendview.importance import importance
from mendview.overview import Overview, changes
from mendview.pace import Pace
from mendview.pages import Page, Panel, front_page, network_page, render, search_page
from mendview.reading import Look
from mendview.scripts import PLOTLY, STATIC, in_letters
from mendview.searches import Search
from mendview.server.answers import body, embedded
from mendview.structure import read_results, read_structure
from mendview.tables import CAPTION
from mendview.verdict import verdict_of
from mendview.workers import Crew

LINKS = re.compile(r'<a href="/(?:mend|dashboard)[^"]*">(.*?)</a>', re.DOTALL)


def report_of(look: Look, search: Search) -> str:
    """The report of a search of a database, finished or not."""

    def importances(search: Search, complete: int) -> Mapping[str, float] | None:
        try:
            return importance(look, search)
        except (ValueError, RuntimeError):  # Optuna refuses where nothing varies
            return None

    pages = [make(look, search, importances) for make in (search_page, network_page, front_page)]
    merged = Page("report", search.name, pages[0].what, search.study_id)
    for page in pages:
        merged.parts |= page.parts
        merged.figures |= page.figures
        merged.layout += [panel for panel in page.layout if panel not in merged.layout]
    merged.layout = [panel for panel in merged.layout if panel.key in merged.parts or panel.key in merged.figures]
    return self_contained(merged)


def write_report(
    path: Path, result: dict[str, Any], dense_score: float, widths: dict[str, int], floor: dict[str, int]
) -> None:
    """Write the report of one run's result, whole or not at all.

    Args:
        path: of the HTML file.
        result: as `result.json` holds it.
        dense_score: score of the dense network.
        widths: channels in the dense network, by coupling group.
        floor: channels from which mending started.
    """
    seen = _overview_of(result, dense_score, widths, floor)
    search, page = seen.search, Page("report", seen.search.name, _asked(result), live=False)
    kept = search.results["mended"]["keep_counts"]
    page.parts = {
        "verdict": render("verdict", seen=seen, overview=overview),
        "cards": render("cards", seen=seen, page=page, overview=overview, movers=movers, timedelta=timedelta),
        "results": render("results", results=search.results, dense_score=dense_score, caption=CAPTION),
        "groups": render("groups", changes=seen.changes, title="mended"),
    }
    page.figures = {"channels": figures.channels(search.structure, kept), "fidelity": figures.fidelity(search.results)}
    page.layout = [
        Panel("verdict"), Panel("cards"), Panel("results", "Networks", whole=True),
        Panel("channels", "Channels", "In network order. Hatched: restored to the floor.", whole=True), Panel("groups"),
        Panel("fidelity", "Score against accuracy", "Before and after fine-tuning."),
    ]  # fmt: skip
    save(path, self_contained(page))


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def self_contained(page: Page) -> str:
    """A page with all that it needs inside: style, scripts, Plotly's among them, and no link that leads nowhere."""
    page.parts = {key: LINKS.sub(r"\1", text) for key, text in page.parts.items()}
    given = {
        "api": "",
        "base": "",
        "shape": "",
        "figures": page.figures,
        "hashes": {},
        "live": False,
        "every": 0,
        "found": True,
    }
    inside = {name: (STATIC / name).read_text(encoding="utf-8") for name in ("mend.css", "theme.js")}
    return render(
        "report", page=page, body=body(page), given=embedded(given), css=inside["mend.css"], theme=inside["theme.js"],
        script=in_letters("mend.js"), plotly=in_letters(PLOTLY),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )  # fmt: skip


def _asked(result: Mapping[str, Any]) -> str:
    budget = ", ".join(f"{name}={value:g}" for name, value in result["budget"]["given"].items())
    return f"{result['model']['name']}, budget {budget}, seed {result['seed']}"


def _overview_of(
    result: Mapping[str, Any], dense_score: float, widths: dict[str, int], floor: dict[str, int]
) -> Overview:
    """What an overview of the database would say, of a run without one."""
    rows = read_results(dict(result))
    structure = read_structure(
        {
            "groups": list(widths), "widths": widths, "floor": floor, "dense_score": dense_score,
            "pre_pruned": rows["pre_pruned"]["keep_counts"], "uniform": rows["uniform"]["keep_counts"],
            "budget": result["budget"].get("absolute"), "dense": result["dense"],
        }
    )  # fmt: skip
    search = Search(
        study_id=0, name=result["search"], sign=1, objectives=1, wanted=None, stopping=False, lease_s=0.0,
        created_at=None, model=result["model"]["name"], structure=structure, results=rows,
        test_images=result.get("test_images"),
    )  # fmt: skip
    states = {"complete": "complete", "pruned": "stopped_early", "fail": "failed"}
    counts = {state: number for state, key in states.items() if (number := result["trials"].get(key, 0))}
    pace = Pace(counts, None, None, datetime.now(UTC).replace(tzinfo=None), None, None, 0, 0)
    controls = {name: rows[name]["score"] for name in ("pre_pruned", "uniform") if "score" in rows[name]}
    tone, verdict = verdict_of(search, "finished", pace, Crew(), None, 0, controls)
    return Overview(
        search=search, state="finished", tone=tone, verdict=verdict, best=None, chosen=None, controls=controls,
        changes=changes(structure, rows["mended"]["keep_counts"]), pace=pace, crew=Crew(), left_s=None, since_best=0,
    )  # fmt: skip
