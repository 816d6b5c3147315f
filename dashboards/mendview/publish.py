"""The same figures, and a summary, inside Optuna Dashboard: for those who open a study there."""

from __future__ import annotations

import html

import optuna
from optuna_dashboard import save_note, save_plotly_graph_object

from mendview import figures, overview, trials
from mendview.figures.network import movers
from mendview.figures.style import Figure
from mendview.overview import Overview
from mendview.reading import Look, Reader
from mendview.searches import find_search
from mendview.structure import TITLES
from mendview.words import percent

AGREEING = 20
FIGURES = {
    "mend-score": "Best score",
    "mend-channels": "Channels, in network order; hatched: restored",
    "mend-agreement": "What the best trials agree on",
    "mend-macs": "MACs by layer, before and after",
    "mend-front": "Accuracy against MACs",
}
"""By what a figure is called in the study: its title."""


def publish(study: optuna.Study, url: str) -> bool:
    """Write a note and the figures of a search into its study, over those written before.

    It takes a few hundred small writes at the most, so once in some minutes and at the end is often enough.

    Args:
        study: of the search, on a connection that can write.
        url: of the same database, from which what is shown is read.

    Returns:
        Whether there was anything to show.

    Raises:
        mendstore.StorageError: the database cannot be reached.
    """
    reader = Reader(url)
    try:
        made = reader.look(lambda look: _make(look, study.study_name))
    finally:
        reader.close()
    if made is None:
        return False
    seen, drawn = made
    for key, figure in drawn.items():
        made = figures.plotly_figure(figure, title=FIGURES[key])
        save_plotly_graph_object(study, made, graph_object_id=key)
    save_note(study, note(seen))
    return True


def note(seen: Overview) -> str:
    """The search in a few lines of Markdown."""
    results = seen.search.results
    lines = [f"## {_plain(seen.verdict)}", "", f"{overview.progress(seen)}; {seen.state}.", ""]
    lines += [f"- best: **{overview.headline(seen)}**", *(f"- {line}" for line in overview.rivals(seen))]
    lines.append(f"- against pre-pruned: {overview.mending(seen)}")
    lines += [
        f"    - `{_plain(change.group)}`: {change.control} → {change.kept} of {change.width} channels"
        for change in movers(seen.changes)
    ]
    lines.append(f"- fleet: {overview.fleet(seen)}")
    rows = [(TITLES[name], row["accuracy"]) for name, row in results.items() if "accuracy" in row]
    if rows:
        lines += [
            "",
            "| network | test accuracy |",
            "|---|---|",
            *(f"| {title} | {percent(value, 2)} |" for title, value in rows),
        ]
    return "\n".join(lines) + "\n"


def _make(look: Look, name: str) -> tuple[Overview, dict[str, Figure]] | None:
    search = find_search(look, name=name)
    if search is None or search.objectives > 1:
        return None
    seen = overview.overview(look, search)
    spans = trials.spans(look, search, sum(seen.pace.states.values()))
    drawn = {"mend-score": figures.history(trials.improvements(look, search), spans, True, seen.controls)}
    kept, structure = overview.mended(search, seen.best), search.structure
    if structure.widths and kept:
        drawn["mend-channels"] = figures.channels(structure, kept)
        best = [trial.keep_counts for trial in trials.top(look, search, AGREEING)]
        drawn["mend-agreement"] = figures.agreement(structure, best)
    if structure.layers and kept:
        drawn["mend-macs"] = figures.macs(structure, kept)
    if "mended" in search.results:
        drawn["mend-front"] = figures.front({search.name: search.results}, "macs")
    return seen, drawn


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return html.escape(" ".join(text.replace("`", "'").split()))
