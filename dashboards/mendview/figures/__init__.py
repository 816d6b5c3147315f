"""Figures as plain dicts for plotly.js; `plotly_figure` turns one into a figure of the package `plotly`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mendview.figures.fleet import throughput
from mendview.figures.front import front, scatter
from mendview.figures.history import by_worker, endings, fidelity, history
from mendview.figures.latency import layer_times, predictions
from mendview.figures.network import agreement, channels, errors, importance, macs
from mendview.figures.style import PALETTE, Figure, resolved
from mendview.words import COSTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "COSTS", "PALETTE", "Figure", "agreement", "by_worker", "channels", "endings", "errors", "fidelity", "front",
    "history", "importance", "layer_times", "macs", "plotly_figure", "predictions", "resolved", "scatter", "throughput",
]  # fmt: skip


def plotly_figure(figure: Figure, dark: bool = False, title: str = "") -> go.Figure:
    """A figure as a Plotly figure with a background, light or dark, for a notebook or Optuna Dashboard."""
    import plotly.graph_objects as go

    made = resolved(figure, dark)
    layout = {key: value for key, value in made["layout"].items() if key != "meta"}
    data = [{key: value for key, value in trace.items() if key != "meta"} for trace in made["data"]]
    ground = PALETTE["--surface"][dark]
    layout |= {"template": "none", "paper_bgcolor": ground, "plot_bgcolor": ground}
    if title:
        margin = {**layout["margin"], "t": layout["margin"]["t"] + 70}
        layout |= {"title": {"text": title, "x": 0.02, "y": 0.97, "yanchor": "top"}, "margin": margin}
        layout["height"] = layout["height"] + 70
    return go.Figure(data=data, layout=layout)
