"""Accuracy against what a network costs, over all searches of the same network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mendstore.queries.trials import Point
from mendstore.records import CONTROLS, RANDOM, RunResult, title
from mendview.figures.history import colour_of, symbol_of
from mendview.figures.network import labels
from mendview.figures.style import Figure, amounts, figure, rounded
from mendview.words import COSTS, plural

RELATIVE = "time of a pass, of the dense network's"
KINDS = ("exported", "dense", *reversed(CONTROLS), RANDOM)
"""Networks of a run that are shown, the largest mark first, below the others."""


def front(runs: Mapping[str, RunResult], cost: str) -> Figure:
    """The Pareto front of finished searches: test accuracy or metric against one cost, for each of their networks.

    Args:
        runs: results by the name of the search, all measured alike.
        cost: `macs` or `params`; or `latency_ms`, relative to the dense network's in the same run, since a machine is
            not equally fast at all times.
    """
    data = []
    percents = all(result.metric is None for result in runs.values())
    value = "%{y:.2%}" if percents else "%{y:.4f}"
    at = " at %{x:.1%}<extra>" if cost == "latency_ms" else " at %{x:.4s}<extra>"
    name_of_figure = next((result.figure_name for result in runs.values()), "accuracy")
    for kind in KINDS:
        shown = title(kind)
        named = {name: result.exported if kind == "exported" else kind for name, result in runs.items()}
        there = {name: result for name, result in runs.items() if named[name] in result.rows}
        if not there:
            continue
        rows = [(_cost(result, named[name], cost), result.figures[named[name]], name) for name, result in there.items()]
        points = sorted((spent, reached, name) for spent, reached, name in rows if reached is not None)
        colour = colour_of(kind)
        data.append(
            {
                "type": "scatter", "mode": "markers" if kind == "dense" else "lines+markers", "name": shown,
                "x": [point[0] for point in points], "y": [point[1] for point in points],
                "text": labels([point[2] for point in points]),
                "line": {"color": colour, "width": 2, "dash": "solid" if kind == "exported" else "dot"},
                "marker": {"symbol": symbol_of(kind), "size": 12 if kind in KINDS[:2] else 9, "color": colour},
                "hovertemplate": value + at + shown + ", %{text}</extra>",
            }
        )  # fmt: skip
    against = RELATIVE if cost == "latency_ms" else COSTS[cost]
    alt = f"Test {name_of_figure} against {against} of {plural(len(runs), 'finished search', 'finished searches')}."
    xaxis = {"rangemode": "tozero", "tickformat": ".0%" if cost == "latency_ms" else ".3~s"}
    yaxis = {"tickformat": ".2~%"} if percents else {}
    return figure(data, alt, x=against, y=f"test {name_of_figure}", height=360, xaxis=xaxis, yaxis=yaxis)


def _cost(result: RunResult, name: str, cost: str) -> float:
    if cost != "latency_ms":
        return float(getattr(result.rows[name], cost))
    times = result.times_ms
    return times[name] / times["dense"] if times["dense"] else 1.0


class Known(NamedTuple):
    """A trial with its score and one cost."""

    number: int
    score: float
    cost: float


def scatter(trials: Sequence[Point], cost: str, sign: int = 1) -> Figure:
    """Scores of trials against one cost, and their Pareto front.

    Args:
        trials: complete trials with their costs.
        cost: `macs` or `params`.
        sign: 1 where a higher score is better.
    """
    known = [Known(row.number, row.score, getattr(row, cost)) for row in trials
             if getattr(row, cost) is not None and row.score is not None]  # fmt: skip
    edge: list[Known] = []
    for row in sorted(known, key=lambda row: (row.cost, -sign * row.score)):
        if not edge or sign * row.score > sign * edge[-1].score:
            edge.append(row)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "name": "trials", "x": [row.cost for row in known],
            "y": rounded(row.score for row in known), "text": [str(row.number) for row in known],
            "meta": {"number": True}, "marker": {"size": 5, "color": "--trial"},
            "hovertemplate": "%{y:.4f} at %{x:.4s}<extra>trial %{text}</extra>",
        },
        {
            "type": "scatter", "mode": "lines+markers", "name": "Pareto front", "x": [row.cost for row in edge],
            "y": rounded(row.score for row in edge), "text": [str(row.number) for row in edge],
            "meta": {"number": True}, "line": {"color": "--mended", "shape": "hv"},
            "marker": {"size": 9, "color": "--mended"},
            "hovertemplate": "%{y:.4f} at %{x:.4s}<extra>trial %{text}, on the Pareto front</extra>",
        },
    ]  # fmt: skip
    alt = f"Scores of {plural(len(known), 'trial')} against {COSTS[cost]}; {len(edge)} of them on the Pareto front."
    xaxis = amounts([row.cost for row in known])
    return figure(data, alt, x=COSTS[cost], y="score", height=340, xaxis=xaxis, yaxis=_focus(known))


def _focus(trials: Sequence[Known]) -> dict[str, Any]:
    """The range of the better three quarters, so that a few bad scores do not flatten the figure."""
    scores = sorted(row.score for row in trials)
    if len(scores) < 8:
        return {}
    low, high = scores[len(scores) // 4], scores[-1]
    margin = 0.06 * (high - low or abs(high) or 1)
    return {"range": [round(low - margin, 5), round(high + margin, 5)]}
