"""One trial."""

from __future__ import annotations

from typing import Any

from mendstore import Snapshot
from mendstore.queries import trials, workers
from mendstore.queries.searches import Search
from mendstore.queries.trials import Trial
from mendstore.records import Counts
from mendview import figures, overview
from mendview.pages.base import Importances, Page, Panel, begin, render


def trial_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """A candidate compared with the best, layer by layer, and its log if it failed; by default the best one."""
    seen, page = begin(snapshot, search, "trial")
    trial = seen.best if number is None else trials.one(snapshot, search, number)
    names = {worker.worker_id: worker for worker in workers.workers(snapshot, search)} if trial and trial.worker else {}
    page.parts["trial"] = render(
        "trial", trial=trial, seen=seen, number=number, base=page.base, structure=search.structure,
        worker=names.get(trial.worker) if trial and trial.worker else None,
    )  # fmt: skip
    page.layout.append(Panel("trial"))
    if trial is not None and trial.divergences and search.structure.outputs:
        columns = overview.made_of(seen, trial)
        page.parts["outputs"] = render("outputs", outputs=search.structure.outputs, columns=columns)
        page.layout.append(Panel("outputs", "What the score is made of"))
    if trial is not None and trial.keep_counts and search.structure.widths:
        other = {"best": seen.best.keep_counts} if seen.best and seen.best.number != trial.number else {}
        page.figures["channels"] = figures.channels(search.structure, trial.keep_counts, f"trial {trial.number}", other)
        page.parts["layers"] = render(
            "layers", rows=_layers(search, trial, seen.best), best=seen.best.number if seen.best else None
        )
        page.layout += [
            Panel("channels", "Channels", "Dots: channels that the best trial keeps." if other else "", whole=True),
            Panel("layers", "Layers", whole=True),
        ]
    return page


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
            "layer": layer.name, "group": layer.group_out or "–", "kept": kept.get(layer.group_out or "", "–"),
            "width": structure.widths.get(layer.group_out or "", "–"), "best": other.get(layer.group_out or "", "–"),
            "macs": layer.macs * structure.share(layer, kept), "share": structure.share(layer, kept),
        }
        for layer in structure.layers
    ]  # fmt: skip
