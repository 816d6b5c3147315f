"""How fast trials come in, and from which hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mendstore.queries.pace import HostSpan
from mendview.figures.network import labels
from mendview.figures.style import Figure, figure
from mendview.words import plural

HOSTS = 8
"""Number of colours; with more hosts, the last colour stands for all others together."""


def throughput(spans: Sequence[HostSpan]) -> Figure:
    """Trials per hour over time, by host.

    Args:
        spans: trials of each host in spans of equal length.
    """
    totals: dict[str, int] = {}
    for row in spans:
        totals[row.host] = totals.get(row.host, 0) + row.trials
    more = len(totals) > HOSTS
    named = sorted(totals, key=lambda host: -totals[host])[: HOSTS - more]
    data: list[dict[str, Any]] = []
    width = 1000 * spans[0].seconds if spans else 0
    for index, host in enumerate([*sorted(named), None] if more else sorted(named)):
        hourly: dict[str, float] = {}
        for row in spans:
            if row.host == host or (host is None and row.host not in named):
                at = row.at.isoformat(timespec="milliseconds")
                hourly[at] = hourly.get(at, 0) + 3600 * row.trials / row.seconds
        title = "other hosts" if host is None else labels([host])[0]
        data.append(
            {
                "type": "bar", "name": title, "x": list(hourly), "y": [round(value, 1) for value in hourly.values()],
                "width": width, "offset": 0, "marker": {"color": f"--series-{index % 8}", "line": {"width": 0}},
                "hovertemplate": "%{y:,.0f} trials an hour<extra>" + title + "</extra>",
            }
        )  # fmt: skip
    alt = f"Trials an hour over time, from {plural(len(totals), 'host')}."
    return figure(data, alt, y="trials an hour", height=300, barmode="stack", bargap=0, xaxis={"type": "date"})
