"""The same figures and a note inside Optuna Dashboard."""

from __future__ import annotations

import html

import optuna
from optuna_dashboard import save_note, save_plotly_graph_object

from mendstore import Reader, Snapshot
from mendstore.queries import trials
from mendstore.queries.searches import find_search
from mendstore.records import title
from mendview import figures, overview, words
from mendview.figures.network import movers
from mendview.figures.style import Figure
from mendview.overview import Overview

AGREEING = 20
FIGURES = {
    "mend-score": "Best score",
    "mend-channels": "Channels in network order; hatched: restored",
    "mend-agreement": "What the best trials agree on",
    "mend-macs": "MACs by layer, before and after",
    "mend-front": "Accuracy against MACs",
}
"""Titles by the key of a figure in the study."""


def publish(study: optuna.Study, url: str) -> bool:
    """Write a note and the figures of a search into its study; earlier ones are replaced.

    It takes up to a few hundred small writes, so once in some minutes and at the end is often enough.

    Args:
        study: study of the search, in a storage that can be written.
        url: URL of the same database, for reading.

    Returns:
        whether there was anything to show.

    Raises:
        mendstore.StorageError: the database cannot be reached.
    """
    reader = Reader(url)
    try:
        made = reader.read(lambda snapshot: _make(snapshot, study.study_name))
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
    result = seen.search.result
    lines = [f"## {_plain(seen.verdict)}", "", f"{overview.progress(seen)}; {seen.state}.", ""]
    lines += [f"- best: **{overview.headline(seen)}**", *(f"- {line}" for line in overview.controls(seen))]
    lines.append(f"- compared with pre-pruned: {overview.mending(seen)}")
    lines += [
        f"    - `{_plain(change.group)}`: {change.control} → {change.kept} of {change.width} channels"
        for change in movers(seen.changes)
    ]
    lines.append(f"- fleet: {overview.fleet(seen)}")
    if result:
        lines += [
            "",
            f"| network | test {_plain(result.figure_name)} |",
            "|---|---|",
            *(f"| {title(name)} | {words.figure(value, result)} |" for name, value in result.figures.items()),
        ]
    return "\n".join(lines) + "\n"


def _make(snapshot: Snapshot, name: str) -> tuple[Overview, dict[str, Figure]] | None:
    search = find_search(snapshot, name=name)
    if search is None or search.objectives > 1:
        return None
    seen = overview.overview(snapshot, search)
    spans = trials.spans(snapshot, search, sum(seen.pace.states.values()))
    drawn = {"mend-score": figures.history(trials.improvements(snapshot, search), spans, seen.controls)}
    kept, structure = overview.mended(search, seen.best), search.structure
    if structure.widths and kept:
        drawn["mend-channels"] = figures.channels(structure, kept)
        best = [trial.keep_counts for trial in trials.top(snapshot, search, AGREEING)]
        drawn["mend-agreement"] = figures.agreement(structure, best)
    if structure.layers and kept:
        drawn["mend-macs"] = figures.macs(structure, kept)
    if search.result:
        drawn["mend-front"] = figures.front({search.name: search.result}, "macs")
    return seen, drawn


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return html.escape(" ".join(text.replace("`", "'").split()))
