"""The page of `bench.accuracy.shapes`: one table for each network."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
FIGURES = {"segmentation": "mean IoU", "detection": "average precision"}
KEYS = ("slices", "before", "after")
PAGE = """# Segmentation and detection on drawn shapes

`python -m bench.accuracy.shapes --searches {searches}`: the U-Net and the detector of [examples](../../examples),
trained on {train:,} drawn images, at {rate:.0%} of the MACs. Figures are on {test} images that no search has seen: the
mean IoU of the U-Net, and the average precision of the detector at an IoU of 0.5; in brackets the share of the
dense network's. The score of a trial is the default, the agreement with the dense network on {validation} other
images; {calibration} images of the training calibrate. Labels are used by training and fine-tuning, and by one search.

| row | |
|---|---|
| mended | a search of {trials} trials, {searches} in all; mean ± standard deviation of several |
| by its metric | one such search whose score is the metric, with the labels of those images |
| random | {random} structures, half of them fine-tuned; mean ± standard deviation |
| raw slices | Torch-Pruning's networks as it gives them; ours are reconstructed |
| without training | ours reconstructed, Torch-Pruning's with batch norms recalibrated on the same images |
| fine-tuned | {epochs} epochs of {tuning} images, the same for all, the dense network too; empty where not run |
{tables}
"""


def page(found: Mapping[str, Mapping[str, Row]], settings: Mapping[str, Any]) -> str:
    """The text.

    Args:
        found: by network, its rows.
        settings: images, trials and epochs.
    """
    return PAGE.format(tables="\n".join(_table(name, rows) for name, rows in found.items()), **settings)


def _table(name: str, rows: Mapping[str, Row]) -> str:
    dense = rows["dense"]
    lines = [
        f"\n## {name.capitalize()}: {FIGURES[name]}\n",
        "| network | MACs | parameters | raw slices | without training | fine-tuned |",
        "|---|---|---|---|---|---|",
    ]
    for title, parts in joined(rows).items():
        share = statistics.mean(part["macs"] for part in parts) / dense["macs"]
        params = f"{statistics.mean(part['params'] for part in parts):,.0f}"
        cells = [_cell([part[key] for part in parts if key in part], dense["before"]) for key in KEYS]
        lines.append(f"| {' | '.join([title, f'{share:.1%}', params, *cells])} |")
    return "\n".join(lines)


def joined(rows: Mapping[str, Row]) -> dict[str, list[Row]]:
    """By title, rows; `mended` and `random` are several."""
    found: dict[str, list[Row]] = {}
    for name, row in rows.items():
        several = name.startswith(("mended", "random"))
        found.setdefault(name.partition(" ")[0] if several else name, []).append(row)
    return found


def _cell(values: list[float], dense: float) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread} ({statistics.mean(values) / dense:.1%})"
