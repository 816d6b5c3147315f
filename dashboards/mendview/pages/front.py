"""The Pareto front: accuracy against cost."""

from __future__ import annotations

from mendstore import Snapshot
from mendstore.queries import trials
from mendstore.queries.searches import Search, find_search, with_results
from mendstore.records import RunResult
from mendview import figures, words
from mendview.pages.base import Importances, Page, Panel, begin, render
from mendview.tables import caption, headings, result_rows


def front_page(snapshot: Snapshot, search: Search, importances: Importances, number: int | None = None) -> Page:
    """Accuracy against cost, over all finished searches of the same network."""
    _, page = begin(snapshot, search, "front")
    runs = _runs(snapshot, search)
    if runs:
        figure = next(iter(runs.values())).figure_name.capitalize()
        for cost, against in (("macs", "MACs"), ("params", "parameters"), ("latency_ms", "latency")):
            page.figures[f"front_{cost}"] = figures.front(runs, cost)
            page.layout.append(
                Panel(
                    f"front_{cost}",
                    f"{figure} against {against}",
                    f"Of {words.plural(len(runs), 'finished search', 'finished searches')} of this network.",
                )
            )
    else:
        page.parts["none"] = (
            '<p class="note">Accuracies appear here once a search of this network is finished and fine-tuned.</p>'
        )
        page.layout.append(Panel("none", "Accuracy"))
    points = [row for row in trials.scattered(snapshot, search) if row.params is not None or row.macs is not None]
    if points:
        for cost, title in (("params", "Score against parameters"), ("macs", "Score against MACs")):
            page.figures[f"trials_{cost}"] = figures.scatter(points, cost, search.sign)
            page.layout.append(Panel(f"trials_{cost}", title, "The best trials and an even sample of the others."))
    page.parts["results"] = render(
        "results", rows=result_rows(search.result, search.structure.dense_score), headings=headings(search.result),
        caption=caption(search.result),
    )  # fmt: skip
    page.layout.append(Panel("results", "Networks", whole=True))
    return page


def _runs(snapshot: Snapshot, search: Search) -> dict[str, RunResult]:
    """Results of this search, and of others of the same network that were measured alike."""
    runs = {search.name: search.result} if search.result else {}
    for study_id in with_results(snapshot):
        other = find_search(snapshot, study_id=study_id)
        if other is None or other.result is None:
            continue
        alike = search.result is None or other.result.metric == search.result.metric
        same = all(other.structure.dense.get(cost) == search.structure.dense.get(cost) for cost in ("macs", "params"))
        if other.model == search.model and same and alike:
            runs[other.name] = other.result
    return runs
