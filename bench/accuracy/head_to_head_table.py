"""Tables of the head to head: each cell, means over cells, and paired differences with their intervals."""

from __future__ import annotations

import math
import statistics
from itertools import chain
from typing import Any

from scipy.stats import t

FINALISTS = ("uniform", "pre_pruned", "curves", "mended", "mended_2", "mended_3")
OURS = ("mended", "exported")
"""Rows that every other one is compared with."""
RULE = "|---"
LEADS = " | ".join(f"{ours} is ahead by" for ours in OURS) + " |"
CONFIDENCE = 0.95
REFERENCE = (", 30%,", "passes: one", "passes: ten")
"""In the titles of cells that stand beside the others for reference, and are in no mean."""
Cells = dict[str, dict[str, dict[str, Any]]]


def exported(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a run would export: by seed, the finalist that is best on the validation split after its fine-tuning."""
    seeds = range(len(rows["uniform"]["test"]))
    winners = [max(FINALISTS, key=lambda name: rows[name]["validation"][seed]) for seed in seeds]
    return {
        "winners": winners,
        "validation": [rows[name]["validation"][seed] for seed, name in enumerate(winners)],
        "test": [rows[name]["test"][seed] for seed, name in enumerate(winners)],
    }


def summary(cells: Cells) -> dict[str, Any]:
    """By method, the mean over the cells that it has a network in, and what `mended` and `exported` are ahead there.

    Intervals are over the pairs, which says something of these cells; and over the means of the cells, as if they were
    drawn from all networks and rates. Cells for reference count where there are no others.
    """
    cells = {title: rows for title, rows in cells.items() if not any(part in title for part in REFERENCE)} or cells
    every = {title: rows | {"exported": exported(rows)} for title, rows in cells.items()}
    methods = dict.fromkeys(method for rows in every.values() for method in rows)
    found = {}
    for method in methods:
        whole = {title: rows for title, rows in every.items() if method in rows}
        means = [statistics.mean(rows[method]["test"]) for rows in whole.values()]
        found[method] = {"mean": statistics.mean(means)}
        for ours in OURS:
            pairs = [
                [mine - other for mine, other in zip(rows[ours]["test"], rows[method]["test"], strict=True)]
                for rows in whole.values()
            ]
            found[method][f"{ours} ahead"] = (
                None
                if method == ours
                else interval(list(chain(*pairs)))
                | {"half_width_over_cells": interval([statistics.mean(cell) for cell in pairs])["half_width"]}
            )
    return found


def interval(differences: list[float]) -> dict[str, float]:
    """Mean, and half the width of its 95% interval by Student's t; infinite of one difference."""
    if len(differences) == 1:
        return {"mean": differences[0], "half_width": math.inf}
    spread = statistics.stdev(differences) / len(differences) ** 0.5
    return {
        "mean": statistics.mean(differences),
        "half_width": float(t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)) * spread,
    }


def show(cells: Cells) -> None:
    """Print the tables as Markdown."""
    for title, rows in cells.items():
        print(f"\n| {title} | parameters | MACs | before | after | learning rate | {LEADS}\n{RULE * 8}|")
        leads, best = summary({title: rows}), exported(rows)
        for method, row in rows.items():
            about = f"{row['params']:,} | {row['macs']:.1%} | {row['before']:.1%} | {_spread(row['test'])}"
            print(f"| {method} | {about} | {row['learning_rate']} | {_leads(leads[method])} |")
        winners = ", ".join(best["winners"])
        print(f"| exported ({winners}) | | | | {_spread(best['test'])} | | {_leads(leads['exported'])} |")
    print(f"\n| over all cells | mean | {LEADS} over cells |\n{RULE * 5}|")
    for method, row in summary(cells).items():
        over = " / ".join(
            f"± {100 * row[f'{ours} ahead']['half_width_over_cells']:.2f}" for ours in OURS if row[f"{ours} ahead"]
        )
        print(f"| {method} | {row['mean']:.2%} | {_leads(row)} | {over} |")


def _leads(row: dict[str, Any]) -> str:
    ahead = [row[f"{ours} ahead"] for ours in OURS]
    return " | ".join(f"{100 * each['mean']:+.2f} ± {100 * each['half_width']:.2f}" if each else "" for each in ahead)


def _spread(values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}%"
