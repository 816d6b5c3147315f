"""Scores over trials and time, by worker, and what was stopped early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mendstore.queries.trials import Ended, Endings, Improvement, Span
from mendstore.queries.workers import Worker
from mendstore.records import RunResult, title
from mendview.figures.style import Figure, around, figure, rounded
from mendview.words import moment, plural, score

SHOWN = 40
"""Number of workers in the figure by worker; those with most trials are shown."""
MARKS = {
    "curves": ("triangle-up", "--curves"),
    "pre_pruned": ("diamond", "--pre-pruned"),
    "uniform": ("square", "--uniform"),
    "random": ("x", "--random"),
    "dense": ("star", "--dense-line"),
}
"""Marker and colour of the networks of a run that are not of the search."""


def symbol_of(name: str) -> str:
    """The marker of a network of a run; those of the search, and the exported one, are circles."""
    return MARKS[name][0] if name in MARKS else "circle"


def colour_of(name: str) -> str:
    """The colour of a network of a run."""
    return MARKS[name][1] if name in MARKS else "--mended"


def history(
    improved: Sequence[Improvement], trials: Sequence[Ended] | Sequence[Span], controls: Mapping[str, float]
) -> Figure:
    """The best score so far, over the trials.

    Args:
        improved: trials that were better than all before.
        trials: trials that ended, or spans of them where there are too many to draw each.
        controls: scores of `pre_pruned` and `uniform`.
    """
    spans = [row for row in trials if isinstance(row, Span)]
    each = [row for row in trials if isinstance(row, Ended)]
    data = _spanned(spans) if spans else _each(each)
    best = [row.score for row in improved]
    last = trials[-1] if trials else None
    if improved:
        numbers, times = [row.number for row in improved], [moment(row.at) for row in improved]
        if last is not None and last.number > numbers[-1]:
            numbers, times, best = [*numbers, last.number], [*times, moment(last.at)], [*best, best[-1]]
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": "best so far", "x": numbers, "y": rounded(best),
                "meta": {"time": times}, "line": {"shape": "hv", "width": 3, "color": "--mended"},
                "hovertemplate": "best so far %{y:.4f}<extra>trial %{x}</extra>",
            }
        )  # fmt: skip
    for name, value in controls.items():
        if improved and last is not None:
            data.append(_level(name, value, improved[0], last))
    alt = f"Best score so far over {plural(len(trials), 'point')}: {score(best[-1]) if best else 'none yet'}."
    return figure(data, alt, x="trial", y="score", height=340, yaxis={"range": _range(best, trials, controls)})


def endings(spans: Sequence[Endings]) -> Figure:
    """How trials ended: scored in full, stopped early, failed."""
    numbers, times = [row.number for row in spans], [moment(row.at) for row in spans]
    names = {
        "complete": ("scored in full", "--complete"),
        "pruned": ("stopped early", "--stopped"),
        "fail": ("failed", "--failed"),
    }
    data = [
        {
            "type": "bar", "name": title, "x": numbers, "y": [getattr(row, key) for row in spans],
            "meta": {"time": times},
            "marker": {"color": colour, "line": {"width": 0}, "pattern": {"shape": "/" if key == "fail" else ""}},
            "hovertemplate": "%{y} " + title + "<extra>from trial %{x}</extra>",
        }
        for key, (title, colour) in names.items()
    ]  # fmt: skip
    totals = {title: sum(getattr(row, key) for row in spans) for key, (title, _) in names.items()}
    alt = "How trials ended: " + ", ".join(f"{number:,} {title}" for title, number in totals.items()) + "."
    most = max((row.complete + row.pruned + row.fail for row in spans), default=0)
    yaxis = {"tickformat": ",d", "nticks": min(6, most + 1)}
    return figure(data, alt, x="trial", y="trials", height=260, barmode="stack", bargap=0, yaxis=yaxis)


def by_worker(workers: Sequence[Worker]) -> Figure:
    """Best and median score of every worker."""
    shown = sorted(sorted(workers, key=lambda worker: -worker.done)[:SHOWN], key=lambda worker: worker.ordinal)
    shown = [worker for worker in shown if worker.best is not None]
    names = [f"worker {worker.ordinal}" for worker in shown]
    details = [[worker.done, round(worker.hourly, 1)] for worker in shown]
    hover = "%{y:.4f} of %{customdata[0]} trials, %{customdata[1]} an hour<extra>%{x}</extra>"
    data = [
        {
            "type": "scatter", "mode": "markers", "name": "best", "x": names,
            "y": rounded(worker.best for worker in shown), "customdata": details,
            "marker": {"color": "--mended", "size": 9}, "hovertemplate": "best " + hover,
        },
        {
            "type": "scatter", "mode": "markers", "name": "median", "x": names,
            "y": rounded(worker.middle for worker in shown), "customdata": details,
            "marker": {"color": "--trial", "size": 9, "symbol": "line-ew", "line": {"width": 3, "color": "--trial"}},
            "hovertemplate": "median " + hover,
        },
    ]  # fmt: skip
    alt = f"Best and median score of {plural(len(shown), 'worker')}."
    return figure(data, alt, y="score", height=300, xaxis={"type": "category", "title": {"text": ""}})


def fidelity(result: RunResult) -> Figure:
    """Score before fine-tuning against accuracy or metric after it, of the finalists that had all of it.

    Finalists that are one structure are one mark with all their names.
    """
    figures, percents = result.figures, result.metric is None
    most = max(row.part for row in result.finalists.values())
    points = {
        name: (row.score, reached)
        for name, row in result.finalists.items()
        if row.score is not None and (reached := figures[name]) is not None and row.part == most
    }
    equal: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for name in points:
        equal.setdefault(tuple(sorted(result.finalists[name].keep_counts.items())), []).append(name)
    shown = {names[0]: ", ".join(map(title, names)) for names in equal.values()}
    scores, values = [point[0] for point in points.values()], [point[1] for point in points.values()]
    data = [
        {
            "type": "scatter", "mode": "markers+text", "name": named, "x": [round(points[name][0], 5)],
            "y": [points[name][1]], "text": [named], "textposition": "bottom center", "cliponaxis": False,
            "marker": {"size": 13, "color": colour_of(name), "symbol": symbol_of(name)},
            "hovertemplate": "score %{x:.4f}, " + result.figure_name + (" %{y:.2%}" if percents else " %{y:.4f}")
            + "<extra>" + named + "</extra>",
        }
        for name, named in shown.items()
    ]  # fmt: skip
    alt = f"Score before fine-tuning against test {result.figure_name} after it."
    size = max(map(abs, values), default=1.0) or 1.0
    yaxis = {"tickformat": ".2~%"} | around(values, 0.02, 0.3, 1.0) if percents else around(values, 0.02 * size, 0.3)
    xaxis = around(scores, 0.02 * (max(map(abs, scores), default=1.0) or 1.0), 0.25)
    return figure(
        data, alt, x="score", y=f"test {result.figure_name}", height=300, showlegend=False, xaxis=xaxis, yaxis=yaxis,
        margin={"t": 28, "r": 40, "b": 44, "l": 58},
    )  # fmt: skip


def _spanned(spans: Sequence[Span]) -> list[dict[str, Any]]:
    known = [row for row in spans if row.best is not None]
    numbers, times = [row.number for row in known], [moment(row.at) for row in known]
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": numbers,
        "meta": {"time": times},
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    return [
        {**edge, "y": rounded(row.high for row in known), "showlegend": False, "name": "upper quartile"},
        {
            **edge, "y": rounded(row.low for row in known), "fill": "tonexty", "fillcolor": "--band",
            "name": "middle half",
        },
        {
            "type": "scatter", "mode": "markers", "name": "best of a span", "x": [row.best_number for row in known],
            "y": rounded(row.best for row in known), "meta": {"time": times, "trial": True},
            "marker": {"size": 6, "color": "--trial"}, "hovertemplate": "%{y:.4f}<extra>trial %{x}</extra>",
        },
    ]  # fmt: skip


def _each(trials: Sequence[Ended]) -> list[dict[str, Any]]:
    traces = []
    for state, kind, symbol, colour in (
        ("pruned", "stopped early", "x-thin-open", "--stopped"),
        ("complete", "scored in full", "circle", "--trial"),
    ):
        rows = [row for row in trials if row.state == state]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": kind, "x": [row.number for row in rows],
                "y": rounded(row.score for row in rows),
                "meta": {"time": [moment(row.at) for row in rows], "trial": True},
                "marker": {"size": 5, "color": colour, "symbol": symbol, "line": {"color": colour}},
                "hovertemplate": "%{y:.4f} " + kind + "<extra>trial %{x}</extra>",
            }
        )  # fmt: skip
    return traces


def _level(name: str, value: float, first: Improvement, last: Ended | Span) -> dict[str, Any]:
    shown = title(name)
    return {
        "type": "scatter", "mode": "lines", "name": shown, "x": [first.number, last.number],
        "y": [round(value, 5)] * 2, "meta": {"time": [moment(first.at), moment(last.at)]},
        "line": {"dash": "dash" if name == "uniform" else "dot", "width": 2, "color": f"--{name.replace('_', '-')}"},
        "hovertemplate": "%{y:.4f}<extra>" + shown + "</extra>",
    }  # fmt: skip


def _range(
    best: Sequence[float], trials: Sequence[Ended] | Sequence[Span], controls: Mapping[str, float]
) -> list[float] | None:
    """The range of the interesting scores, so that a few bad ones do not flatten the figure."""
    found = [row.middle if isinstance(row, Span) else row.score for row in trials]
    scores = sorted(score for score in found if score is not None)
    if not best or not scores:
        return None
    middle = scores[len(scores) // 4], scores[-len(scores) // 4]
    inside = [*best[-1:], best[0], *middle, *(value for value in controls.values())]
    low, high = min(inside), max(inside)
    margin = 0.08 * (high - low or abs(high) or 1)
    return [round(low - margin, 5), round(high + margin, 5)]
