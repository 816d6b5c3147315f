"""What a structure does to the network: channels, MACs, errors, and what the best trials agree on."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mendstore.records import Counts, Structure
from mendview.figures.style import Figure, figure, rounded
from mendview.overview import Change
from mendview.words import amount, plural

HEIGHT, LETTER = 300, 5
"""Pixels of a figure by coupling group without its names, and of a letter of them, at the angle at which they stand."""


def channels(
    structure: Structure, kept: Counts, title: str = "mended", other: Mapping[str, Counts] | None = None
) -> Figure:
    """Channels of every coupling group in network order, as fractions of the dense width.

    Args:
        structure: the network.
        kept: channels that stay in the structure shown as bars; those above the floor are marked as restored.
        title: title of that structure.
        other: more structures by title, shown as markers.
    """
    names = [name for name in structure.groups if name in kept]
    widths = [structure.widths[name] for name in names]
    below = [min(structure.floor.get(name, 0), kept[name]) for name in names]
    above = [kept[name] - low for name, low in zip(names, below, strict=True)]
    bars = (("at the floor", below, "--mended", ""), ("restored", above, "--restored", "/"))
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "name": "dense", "x": labels(names), "y": [1] * len(names), "customdata": widths,
            "marker": {"color": "--dense"}, "hovertemplate": "%{customdata} channels<extra>dense, %{x}</extra>",
        }
    ]  # fmt: skip
    for index, (name, values, colour, pattern) in enumerate(bars):
        data.append(
            {
                "type": "bar", "name": f"{title}: {name}", "x": labels(names), "y": _parts(values, widths),
                "base": 0 if index == 0 else _parts(below, widths), "width": 0.62,
                "customdata": [[v, kept[key], width] for v, key, width in zip(values, names, widths, strict=True)],
                "marker": {
                    "color": colour, "pattern": {"shape": pattern, "fgcolor": "--mended", "bgcolor": colour, "size": 5},
                },
                "hovertemplate": "%{customdata[0]} " + name + "; keeps %{customdata[1]} of %{customdata[2]}"
                "<extra>%{x}</extra>",
            }
        )  # fmt: skip
    marks = {
        "pre-pruned": ("diamond", "--pre-pruned"),
        "uniform": ("square-open", "--uniform"),
        "best": ("circle", "--floor"),
    }
    for name, counts in (
        {"pre-pruned": structure.pre_pruned, "uniform": structure.uniform} | dict(other or {})
    ).items():
        marked = [counts.get(key) for key in names]
        if any(value is not None for value in marked):
            symbol, colour = marks.get(name, ("circle", "--floor"))
            data.append(
                {
                    "type": "scatter", "mode": "markers", "name": name, "x": labels(names), "customdata": marked,
                    "y": [None if v is None else round(v / w, 4) for v, w in zip(marked, widths, strict=True)],
                    "marker": {
                        "symbol": symbol, "size": 8, "color": colour,
                        "line": {"width": 1.5, "color": "--surface" if symbol == "diamond" else colour},
                    },
                    "hovertemplate": "%{customdata} channels<extra>" + name + ", %{x}</extra>",
                }
            )  # fmt: skip
    alt = f"Channels that {title} keeps in {plural(len(names), 'coupling group')}, as fractions of the dense width."
    return by_group(
        data,
        names,
        alt,
        "of the dense width",
        barmode="overlay",
        yaxis={"tickformat": ".0%", "range": [0, 1.03]},
    )


def macs(structure: Structure, kept: Counts, title: str = "mended") -> Figure:
    """MACs of every layer, before and after.

    Args:
        structure: the network.
        kept: channels that stay in the structure shown beside the dense one.
        title: title of that structure.
    """
    layers = structure.layers
    names = [layer.name for layer in layers]
    after = [layer.macs * structure.share(layer, kept) for layer in layers]
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "name": name, "x": labels(names), "y": [round(value) for value in values], "width": width,
            "marker": {"color": colour}, "hovertemplate": "%{y:.3s} MACs<extra>" + name + ", %{x}</extra>",
        }
        for name, values, colour, width in (
            ("dense", [layer.macs for layer in layers], "--dense", 0.9),
            (title, after, "--mended", 0.62),
        )
    ]  # fmt: skip
    before = sum(layer.macs for layer in layers)
    alt = f"MACs of {plural(len(names), 'layer')}: {amount(before)} before, {amount(sum(after))} after."
    return by_group(data, names, alt, "MACs", barmode="overlay", yaxis={"exponentformat": "SI", "tickformat": ".2~s"})


def errors(structure: Structure, kept: Counts, title: str = "mended") -> Figure:
    """Reconstruction error of each coupling group alone: the other groups keep all their channels.

    Args:
        structure: the network.
        kept: channels that stay in the structure shown beside the pre-pruned one.
        title: title of that structure.
    """
    names = [name for name in structure.groups if name in kept and name in structure.error_curves]
    data = []
    rows = (("pre-pruned", structure.pre_pruned, "diamond", "--pre-pruned"), (title, kept, "circle", "--mended"))
    for shown, counts, symbol, colour in rows:
        values = [_at(structure.error_curves[name], counts.get(name)) for name in names]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": shown, "x": labels(names), "y": rounded(values),
                "marker": {"symbol": symbol, "size": 9, "color": colour},
                "hovertemplate": "error %{y:.3g}<extra>" + shown + ", %{x}</extra>",
            }
        )  # fmt: skip
    alt = f"Reconstruction error of {plural(len(names), 'coupling group')}, pre-pruned and {title}."
    return by_group(data, names, alt, "error", yaxis={"rangemode": "tozero"})


def agreement(structure: Structure, top: Sequence[Counts]) -> Figure:
    """The channels that the best trials keep: median, least and most of each coupling group."""
    top = [counts for counts in top if counts]
    names = [name for name in structure.groups if all(name in counts for counts in top)] if top else []
    columns = [sorted(counts[name] / structure.widths[name] for counts in top) for name in names]
    middles = [column[len(column) // 2] for column in columns]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "name": f"median of the best {len(top)}", "x": labels(names),
            "y": rounded(middles, 4), "marker": {"size": 9, "color": "--mended"},
            "error_y": {
                "type": "data", "symmetric": False, "color": "--mended", "thickness": 2, "width": 4,
                "array": rounded((c[-1] - m for c, m in zip(columns, middles, strict=True)), 4),
                "arrayminus": rounded((m - c[0] for c, m in zip(columns, middles, strict=True)), 4),
            },
            "customdata": [[round(c[0], 3), round(c[-1], 3)] for c in columns],
            "hovertemplate": "%{y:.0%}, between %{customdata[0]:.0%} and %{customdata[1]:.0%}<extra>%{x}</extra>",
        },
        {
            "type": "scatter", "mode": "markers", "name": "floor", "x": labels(names),
            "y": [round(structure.floor.get(name, 0) / structure.widths[name], 4) for name in names],
            "marker": {"symbol": "line-ew", "size": 10, "line": {"width": 2, "color": "--floor"}},
            "hovertemplate": "floor %{y:.0%}<extra>%{x}</extra>",
        },
    ]  # fmt: skip
    alt = f"Channels that the best {plural(len(top), 'trial')} keep, by coupling group: median, least and most."
    return by_group(data, names, alt, "of the dense width", yaxis={"tickformat": ".0%", "range": [0, 1.03]})


def importance(names: Sequence[str], values: Mapping[str, float]) -> Figure:
    """Importance of each coupling group for the score, in network order."""
    shown = [name for name in names if name in values] or list(values)
    data = [
        {
            "type": "bar", "name": "importance", "x": labels(shown), "y": rounded((values[name] for name in shown), 4),
            "marker": {"color": "--mended"}, "hovertemplate": "%{y:.1%}<extra>%{x}</extra>",
        }
    ]  # fmt: skip
    first = max(values, key=lambda name: values[name], default="none")
    alt = f"Importance of {plural(len(shown), 'parameter')}; the largest is {html.escape(first)}."
    return by_group(
        data, shown, alt, "importance", showlegend=False, yaxis={"tickformat": ".0%", "rangemode": "tozero"}
    )


def movers(changed: Sequence[Change], number: int = 6) -> list[Change]:
    """The coupling groups that differ most from the pre-pruned network, relative to their width, in network order."""
    moved = [change for change in changed if change.kept != change.control]
    most = sorted(moved, key=lambda change: -abs(change.kept - change.control) / change.width)[:number]
    return [change for change in changed if change in most]


def labels(names: Sequence[str]) -> list[str]:
    """Names escaped for figures, since plotly interprets some HTML."""
    return [html.escape(name if len(name) <= 40 else f"{name[:18]}…{name[-20:]}") for name in names]


def by_group(data: list[dict[str, Any]], names: Sequence[str], alt: str, title: str, **layout: Any) -> Figure:
    """A figure with a place for each coupling group or layer, in network order."""
    longest = max((len(label) for label in labels(names)), default=0)
    made = figure(
        data, alt, y=title, height=HEIGHT + LETTER * longest, **layout,
        xaxis={
            "type": "category", "title": {"text": ""}, "tickangle": -60, "tickfont": {"size": 10}, "showgrid": False,
        },
    )  # fmt: skip
    made["layout"]["meta"]["width"] = 60 + 14 * len(names)
    return made


def _parts(values: Sequence[int], widths: Sequence[int]) -> list[float]:
    return [round(value / width, 4) for value, width in zip(values, widths, strict=True)]


def _at(curve: Sequence[float], count: int | None) -> float | None:
    return None if count is None else curve[min(count, len(curve) - 1)]
