"""Times of the networks of a result, where the budget is in time."""

from __future__ import annotations

from typing import Any

from mendstore.records import Timing, title
from mendview.figures.history import colour_of, symbol_of
from mendview.figures.network import by_group, labels
from mendview.figures.style import Figure, figure, rounded
from mendview.words import plural

REST = "outside the layers"


def layer_times(timing: Timing, name: str) -> Figure:
    """Time of every layer, before and after, as the latency model says.

    Args:
        timing: times with `layers_ms`.
        name: network that is shown beside the dense one.
    """
    dense = timing.layers_ms["dense"]
    data: list[dict[str, Any]] = []
    for shown, colour, width in (("dense", "--dense", 0.9), (name, "--mended", 0.62)):
        parts = [timing.layers_ms[shown][layer] for layer in dense]
        data.append(
            {
                "type": "bar", "name": title(shown), "x": labels([*dense, REST]), "width": width,
                "y": rounded([*parts, timing.predicted_ms[shown] - sum(parts)]), "marker": {"color": colour},
                "hovertemplate": "%{y:.3g} ms<extra>" + title(shown) + ", %{x}</extra>",
            }
        )  # fmt: skip
    before, after = timing.predicted_ms["dense"], timing.predicted_ms[name]
    alt = f"Predicted time of {plural(len(dense), 'layer')}: {before:.3g} ms before, {after:.3g} ms after, in all."
    return by_group(data, [*dense, REST], alt, "ms", barmode="overlay")


def predictions(timing: Timing) -> Figure:
    """Predicted against measured times of the networks of a result, the latter at the pace of the profile.

    Args:
        timing: times with `measured_ms`.
    """
    at_pace = {name: ms / timing.pace for name, ms in timing.measured_ms.items()}
    known = [*at_pace.values(), *timing.predicted_ms.values(), timing.asked_ms]
    ends = rounded([0.95 * min(known), 1.05 * max(known)])
    dashed = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    data: list[dict[str, Any]] = [
        dashed | {"name": "as predicted", "x": ends, "y": ends, "line": {"color": "--dense-line", "width": 1}},
        dashed | {
            "name": "budget", "x": ends, "y": 2 * [timing.asked_ms],
            "line": {"color": "--failed", "width": 1, "dash": "dash"},
        },
    ]  # fmt: skip
    for name, measured in at_pace.items():
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": title(name), "x": [timing.predicted_ms[name]],
                "y": rounded([measured]),
                "marker": {"symbol": symbol_of(name), "size": 11, "color": colour_of(name)},
                "hovertemplate": "%{y:.3g} ms measured, %{x:.3g} predicted<extra>" + title(name) + "</extra>",
            }
        )  # fmt: skip
    alt = f"Measured against predicted times of {plural(len(timing.measured_ms), 'network')}, with the budget."
    square, y = {"range": ends}, "measured (ms), at the pace of the profile"
    return figure(data, alt, x="predicted (ms)", y=y, height=360, xaxis=square, yaxis=square)
