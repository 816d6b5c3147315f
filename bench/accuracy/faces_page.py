"""The page of `bench.accuracy.faces`: one table for each network."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from bench.accuracy.shapes_page import joined

PAGE = """# Faces: real weights on photographs not seen

`python -m bench.accuracy.faces` (Debian's package manager and pip bring photographs and weights; nothing of
them is kept here): the three networks of `facenet-pytorch` with the weights of the package, at {rate:.0%} of
the MACs. No training, no labels. The first two splits of the photographs calibrate and score the trials
({trials} of them); the figures are on the third. It holds the two photographs with a face in the foreground;
most others are animals, buildings and scenes. Mended: {searches} searches, mean ± standard deviation; random:
{random} structures. Torch-Pruning's networks have its own slices (there are no batch norms to recalibrate); all
others are reconstructed.

| column | |
|---|---|
| same | positions of P-Net's maps at all scales, or crops, that are on the same side of the threshold |
| kept | of those where one of the two networks says yes: where both do |
| probability | mean absolute difference of the probabilities |
| regressions | mean absolute difference of boxes and landmarks where the dense network says yes, in sides of a box |
| boxes | of P-Net's proposals after suppression: F1 of boxes that match at an IoU of 0.5, each used once |
{tables}
"""
COLUMNS = {"same": "{:.2%}", "kept": "{:.1%}", "difference": "{:.4f}", "regressions": "{:.4f}", "boxes": "{:.1%}"}
TITLES = {"difference": "probability"}


def page(networks: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The text.

    Args:
        networks: by name, photographs, items and rows.
        settings: budget, trials and searches.
    """
    return PAGE.format(tables="\n".join(_table(name, found) for name, found in networks.items()), **settings)


def _table(name: str, found: Mapping[str, Any]) -> str:
    rows, (seen, scored, unseen) = found["rows"], found["photographs"]
    first = next(iter(rows.values()))
    columns = [key for key in COLUMNS if key in first]
    what = "positions" if "boxes" in first else "crops, P-Net's proposals"
    titles = [TITLES.get(key, key) for key in columns]
    lines = [
        f"\n## {name}\n",
        f"{found['items'][0]} crops of {seen} photographs calibrate, {found['items'][1]} of {scored} score; {unseen} "
        f"photographs with {first['decisions']:,} {what}, and {first['yes']:,} times yes, judge.\n",
        f"| network | parameters | {' | '.join(titles)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for title, parts in joined(rows).items():
        params = f"{statistics.mean(part['params'] for part in parts):,.0f}"
        cells = [_cell([part[key] for part in parts], COLUMNS[key]) for key in columns]
        lines.append(f"| {' | '.join([title, params, *cells])} |")
    return "\n".join(lines)


def _cell(values: list[float], form: str) -> str:
    spread = f" ± {form.format(statistics.stdev(values))}" if len(values) > 1 else ""
    return form.format(statistics.mean(values)) + spread
