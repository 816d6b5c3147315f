"""Figures of a search as Plotly figures, for a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.trial import TrialState

import mendstore
from mendview import figures, overview, trials, workers
from mendview.importance import importance as importance_of
from mendview.pace import pace_of
from mendview.reading import Look, Reader
from mendview.searches import Search, find_search

if TYPE_CHECKING:
    import plotly.graph_objects as go

EMBEDDED = Path(".mendsearch")
AGREEING = 20
T = TypeVar("T")


def history(study: str | optuna.Study, url: str | None = None) -> go.Figure:
    """The best score so far, over the trials; of a study in memory too.

    Args:
        study: name of a search, or a study of one objective.
        url: of the database, where a name is given; else MENDSEARCH_STORAGE, else the embedded one of this folder.

    Raises:
        mendstore.StorageError: the database cannot be reached, or holds no such search.
    """
    if isinstance(study, optuna.Study):
        improved, ended = _of_study(study)
        return figures.plotly_figure(figures.history(improved, ended, False, {}))

    def make(look: Look, search: Search) -> figures.Figure:
        seen = overview.overview(look, search)
        total = sum(seen.pace.states.values())
        spanned = total > trials.EACH
        shown = trials.spans(look, search, total) if spanned else trials.each(look, search)
        return figures.history(trials.improvements(look, search), shown, spanned, seen.controls)

    return figures.plotly_figure(_ask(make, study, url))


def channels(study: str, url: str | None = None) -> go.Figure:
    """Channels of every coupling group: dense, floor, pre-pruned, uniform, and mended with what is restored."""
    return figures.plotly_figure(_ask(lambda look, s: figures.channels(s.structure, _mended(look, s)), study, url))


def macs(study: str, url: str | None = None) -> go.Figure:
    """MACs of every layer, before and after."""
    return figures.plotly_figure(_ask(lambda look, s: figures.macs(s.structure, _mended(look, s)), study, url))


def agreement(study: str, url: str | None = None) -> go.Figure:
    """What the best trials agree on, by coupling group."""

    def make(look: Look, search: Search) -> figures.Figure:
        best = trials.top(look, search, AGREEING)
        return figures.agreement(search.structure, [trial.keep_counts for trial in best])

    return figures.plotly_figure(_ask(make, study, url))


def importance(study: str, url: str | None = None) -> go.Figure:
    """What the score depends on most, by coupling group."""
    return figures.plotly_figure(
        _ask(lambda look, s: figures.importance(s.structure.groups, importance_of(look, s)), study, url)
    )


def front(study: str, url: str | None = None, cost: str = "macs") -> go.Figure:
    """Test accuracy of dense, uniform, pre-pruned and mended against `macs`, `params` or `latency_ms`."""
    return figures.plotly_figure(_ask(lambda look, s: figures.front({s.name: s.results}, cost), study, url))


def throughput(study: str, url: str | None = None) -> go.Figure:
    """Trials an hour over time, by host."""

    def make(look: Look, search: Search) -> figures.Figure:
        pace = pace_of(look, search)
        spans = workers.throughput(look, search, pace.first, pace.last) if pace.first and pace.last else []
        return figures.throughput(spans)

    return figures.plotly_figure(_ask(make, study, url))


def _ask(make: Callable[[Look, Search], T], name: str, url: str | None) -> T:
    url = url or os.environ.get(mendstore.STORAGE_VARIABLE) or mendstore.EmbeddedServer(EMBEDDED).start()
    reader = Reader(url)

    def ask(look: Look) -> T | None:
        search = find_search(look, name=name)
        return None if search is None else make(look, search)

    try:
        found = reader.look(ask)
    finally:
        reader.close()
    if found is None:
        raise mendstore.StorageError(
            f"no search `{name}` in {mendstore.without_password(url)}; `mendsearch status` lists them"
        )
    return found


def _mended(look: Look, search: Search) -> dict[str, int]:
    return overview.mended(search, next(iter(trials.top(look, search, 1)), None))


def _of_study(study: optuna.Study) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows as `mendview.trials` gives them, of a study wherever it is."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    ended: list[dict[str, Any]] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
        score = trial.value if trial.state == TrialState.COMPLETE else last
        row: dict[str, Any] = {
            "number": trial.number,
            "at": trial.datetime_complete,
            "state": trial.state.name.lower(),
            "score": score,
        }
        ended.append(row)
    improved: list[dict[str, Any]] = []
    for row in ended:
        if row["state"] == "complete" and (not improved or sign * (row["score"] - improved[-1]["score"]) > 0):
            improved.append(row)
    return improved, ended
