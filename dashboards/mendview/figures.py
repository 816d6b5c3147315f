"""Plotly figures."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

COLOURS = {"dense": "#d0d0d0", "uniform": "#e69f00", "pre_pruned": "#56b4e9", "mended": "#0072b2"}
"""Of Okabe and Ito, told apart by colour-blind eyes."""


def channels_figure(result: dict[str, Any], widths: dict[str, int], floor: dict[str, int]) -> go.Figure:
    """Channels of every coupling group in network order: dense, uniform, pre-pruned, mended, and the floor.

    Args:
        result: as `result.json` holds it.
        widths: channels in the dense network, by coupling group.
        floor: channels from which mending started.
    """
    names = list(widths)
    figure = go.Figure()
    counts = {"dense": widths} | {row: result[row]["keep_counts"] for row in ("uniform", "pre_pruned", "mended")}
    for row, kept in counts.items():
        figure.add_bar(
            name=row.replace("_", "-"), x=names, y=[kept[name] for name in names], marker_color=COLOURS[row],
            customdata=[kept[name] / widths[name] for name in names],
            hovertemplate="%{x}: %{y} channels (%{customdata:.0%})",
        )  # fmt: skip
    figure.add_scatter(
        name="floor", x=names, y=[floor[name] for name in names], mode="markers",
        marker={"symbol": "line-ew", "size": 22, "line": {"width": 2, "color": "#000000"}},
        hovertemplate="%{x}: floor %{y}",
    )  # fmt: skip
    figure.update_layout(
        barmode="group", template="plotly_white", height=460, margin={"t": 30, "b": 120},
        yaxis_title="channels", legend={"orientation": "h", "y": 1.08},
    )  # fmt: skip
    return figure
