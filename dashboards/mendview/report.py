"""A plain page of one run: the table, and the channels of every coupling group. It opens offline."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

from mendview.figures import channels_figure
from mendview.tables import CAPTION, HEADINGS, result_rows

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; width: 100% }
th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
tr:last-child { font-weight: 600 }
.note { color: #555; font-size: .9rem }
.wide { overflow-x: auto }
"""


def write_report(
    path: Path, result: dict[str, Any], dense_score: float, widths: dict[str, int], floor: dict[str, int]
) -> None:
    """Write the page of one result, whole or not at all.

    Args:
        path: of the HTML file.
        result: as `result.json` holds it.
        dense_score: score of the dense network.
        widths: channels in the dense network, by coupling group.
        floor: channels from which mending started.
    """
    figure = channels_figure(result, widths, floor)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in result_rows(result, dense_score)
    )
    headings = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    trials = ", ".join(f"{count} {escape(state.replace('_', ' '))}" for state, count in result["trials"].items())
    budget = ", ".join(f"{name}={value:g}" for name, value in result["budget"]["given"].items())
    asked = escape(f"{result['model']['name']}, budget {budget}, seed {result['seed']}")
    title = f"mendsearch: {escape(result['search'])}"
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p>{asked}; trials: {trials}.</p>
<div class="wide"><table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>
<p class="note">{escape(CAPTION)}</p>
<h2>Channels of every coupling group</h2>
{figure.to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False})}
</body></html>
"""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
