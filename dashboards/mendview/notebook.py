"""Figures of a search as Plotly figures, for a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import optuna
from optuna.trial import TrialState

import mendstore
from mendstore import Reader, Snapshot
from mendstore.queries import trials
from mendstore.queries.pace import pace_of
from mendstore.queries.pace import throughput as throughput_of
from mendstore.queries.searches import Search, find_search
from mendstore.queries.trials import Ended, Improvement, ended_trials
from mendview import figures, overview
from mendview.importance import importance as importance_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

AGREEING = 20
T = TypeVar("T")


def history(study: str | optuna.Study, url: str | None = None) -> go.Figure:
    """The best score so far, over the trials; also of a study in memory.

    Args:
        study: name of a search, or a study of one objective.
        url: URL of the database of a named search; by default MENDSEARCH_STORAGE, or the embedded one of this folder.

    Raises:
        mendstore.StorageError: the database cannot be reached, or holds no such search.
    """
    if isinstance(study, optuna.Study):
        improved, ended = _of_study(study)
        return figures.plotly_figure(figures.history(improved, ended, {}))

    def make(snapshot: Snapshot, search: Search) -> figures.Figure:
        seen = overview.overview(snapshot, search)
        total = sum(seen.pace.states.values())
        shown = ended_trials(snapshot, search, total)
        return figures.history(trials.improvements(snapshot, search), shown, seen.controls)

    return figures.plotly_figure(_ask(make, study, url))


def channels(study: str, url: str | None = None) -> go.Figure:
    """Channels of every coupling group: dense, floor, pre-pruned, uniform, and mended with what is restored."""
    return figures.plotly_figure(
        _ask(lambda snapshot, s: figures.channels(s.structure, _mended(snapshot, s)), study, url)
    )


def macs(study: str, url: str | None = None) -> go.Figure:
    """MACs of every layer, before and after."""
    return figures.plotly_figure(_ask(lambda snapshot, s: figures.macs(s.structure, _mended(snapshot, s)), study, url))


def agreement(study: str, url: str | None = None) -> go.Figure:
    """The channels that the best trials keep: median, least and most of each coupling group."""

    def make(snapshot: Snapshot, search: Search) -> figures.Figure:
        best = trials.top(snapshot, search, AGREEING)
        return figures.agreement(search.structure, [trial.keep_counts for trial in best])

    return figures.plotly_figure(_ask(make, study, url))


def importance(study: str, url: str | None = None) -> go.Figure:
    """Importance of each coupling group for the score."""
    return figures.plotly_figure(
        _ask(lambda snapshot, s: figures.importance(s.structure.groups, importance_of(snapshot, s)), study, url)
    )


def front(study: str, url: str | None = None, cost: str = "macs") -> go.Figure:
    """Test accuracy (or metric) of exported, dense and controls against `macs`, `params` or `latency_ms`."""
    return figures.plotly_figure(
        _ask(lambda snapshot, s: figures.front({s.name: s.result} if s.result else {}, cost), study, url)
    )


def throughput(study: str, url: str | None = None) -> go.Figure:
    """Trials per hour over time, by host."""

    def make(snapshot: Snapshot, search: Search) -> figures.Figure:
        return figures.throughput(throughput_of(snapshot, search, pace_of(snapshot, search)))

    return figures.plotly_figure(_ask(make, study, url))


def _ask(make: Callable[[Snapshot, Search], T], name: str, url: str | None) -> T:
    url = url or os.environ.get(mendstore.STORAGE_VARIABLE) or mendstore.EmbeddedServer(mendstore.EMBEDDED).start()
    reader = Reader(url)

    def ask(snapshot: Snapshot) -> T | None:
        search = find_search(snapshot, name=name)
        return None if search is None else make(snapshot, search)

    try:
        found = reader.read(ask)
    finally:
        reader.close()
    if found is None:
        raise mendstore.StorageError(
            f"no search `{name}` in {mendstore.without_password(url)}; `{mendstore.command('status', url)}` lists them"
        )
    return found


def _mended(snapshot: Snapshot, search: Search) -> dict[str, int]:
    return overview.mended(search, next(iter(trials.top(snapshot, search, 1)), None))


def _of_study(study: optuna.Study) -> tuple[list[Improvement], list[Ended]]:
    """Improvements and ended trials of a study in any storage."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    improved: list[Improvement] = []
    ended: list[Ended] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
        complete = trial.state == TrialState.COMPLETE
        score = trial.value if complete else last
        ended.append(Ended(trial.number, trial.datetime_complete, trial.state.name.lower(), score))
        if complete and score is not None and (not improved or sign * (score - improved[-1].score) > 0):
            improved.append(Improvement(trial.number, trial.datetime_complete, score))
    return improved, ended
