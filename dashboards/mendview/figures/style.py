"""The style of figures: colours by meaning that colour-blind people can tell apart, with different markers as well.

A figure is a plain dict of `data` and `layout`, as plotly.js takes it, with colours by name (`--mended`). A page
replaces the names by light or dark colours; `resolved` does so where there is no page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

PALETTE = {
    "--mended": ("#0072b2", "#56b4e9"),
    "--restored": ("#58a9d6", "#2f7fb5"),
    "--pre-pruned": ("#c44e00", "#ff9a57"),
    "--uniform": ("#8f3f7a", "#e39ccb"),
    "--curves": ("#7a6a00", "#d9c74a"),
    "--random": ("#00795a", "#2fc79a"),
    "--dense": ("#d9dde3", "#3a414c"),
    "--dense-line": ("#767d88", "#98a1ad"),
    "--floor": ("#2b2f36", "#e4e7eb"),
    "--trial": ("#7d8794", "#8e99a8"),
    "--band": ("rgba(0, 114, 178, 0.16)", "rgba(86, 180, 233, 0.18)"),
    "--complete": ("#0072b2", "#56b4e9"),
    "--stopped": ("#a58a14", "#a08c2a"),
    "--failed": ("#8c1d18", "#ff8a80"),
    "--text": ("#1d2127", "#e8eaed"),
    "--muted": ("#59616d", "#a9b1bc"),
    "--line": ("#dfe3e8", "#333a45"),
    "--surface": ("#ffffff", "#181c22"),
    "--series-0": ("#0072b2", "#56b4e9"),
    "--series-1": ("#c44e00", "#ff9a57"),
    "--series-2": ("#00795a", "#2fc79a"),
    "--series-3": ("#8f3f7a", "#e39ccb"),
    "--series-4": ("#7a6a00", "#d9c74a"),
    "--series-5": ("#3d4ea8", "#9aa8f5"),
    "--series-6": ("#6b4a2f", "#c9a27e"),
    "--series-7": ("#4f5661", "#b4bcc7"),
}
"""Light and dark colours by meaning, after Okabe and Ito. `static/mend.css` holds the same."""

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'


def figure(
    data: list[dict[str, Any]], alt: str, *, x: str = "", y: str = "", height: int = 320, **layout: Any
) -> Figure:
    """A figure in our style.

    Args:
        data: traces of plotly.js.
        alt: description for people who cannot see it.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        height: height in pixels.
        layout: changes to the default layout.
    """
    xaxis = axis(x) | layout.pop("xaxis", {})
    yaxis = axis(y) | layout.pop("yaxis", {})
    usual = {
        "height": height,
        "margin": {"t": 8, "r": 12, "b": 44, "l": 58},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": "--text"},
        "hoverlabel": {"bgcolor": "--surface", "bordercolor": "--line", "font": {"color": "--text"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "hovermode": "closest",
        "dragmode": "zoom",
        "uirevision": "kept",
        "meta": {"alt": alt},
    }
    return {"data": data, "layout": {**usual, "xaxis": xaxis, "yaxis": yaxis, **layout}}


def axis(title: str) -> dict[str, Any]:
    """An axis in our style."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "--line", "linecolor": "--line", "zerolinecolor": "--line", "tickcolor": "--line",
        "automargin": True,
    }  # fmt: skip


def around(values: Sequence[float], least: float, margin: float = 0.12, most: float | None = None) -> dict[str, Any]:
    """An axis that shows values with a margin. Left to itself, plotly.js shows an interval of 2 around a single value.

    Args:
        values: what is shown.
        least: the least interval that is shown.
        margin: fraction of the interval on each side.
        most: the largest value that there can be, such as 1.0 for a fraction; the axis ends there.
    """
    if not values:
        return {}
    low, high = min(values), max(values)
    wider = max(0.0, least - (high - low)) / 2 + margin * max(least, high - low)
    top = high + wider if most is None else min(most, high + wider)
    return {"range": [float(f"{low - wider:.6g}"), float(f"{top:.6g}")]}


def amounts(values: Sequence[float]) -> dict[str, Any]:
    """An axis of MACs or parameters, with as many digits as neighbouring ticks need to differ."""
    span = max(values, default=0.0) - min(values, default=0.0)
    digits = 3 if span <= 0 else min(9, max(3, 2 + math.ceil(math.log10(max(map(abs, values)) / span))))
    return {"tickformat": f".{digits}~s", "nticks": 6}


def resolved(value: Any, dark: bool = False) -> Any:
    """A figure, or a part of one, with colours instead of their names."""
    if isinstance(value, dict):
        return {key: resolved(item, dark) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, dark) for item in value]
    if isinstance(value, str) and value in PALETTE:
        return PALETTE[value][dark]
    return value


def rounded(values: Any, digits: int = 5) -> list[float | None]:
    """Numbers rounded so that a page is small."""
    return [None if value is None else round(float(value), digits) for value in values]
