"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from mendstore.records import PrunedRow, RunResult, title
from mendview import words


def result_rows(result: RunResult | None, dense_score: float | None) -> list[tuple[str, ...]]:
    """The rows of a result under `HEADINGS`; none where there is no result.

    Args:
        result: result of a run.
        dense_score: score of the dense network, where known.
    """
    if result is None:
        return []
    rows: list[tuple[str, ...]] = []
    dense = result.dense.macs
    for name, row in result.rows.items():
        pruned = row if isinstance(row, PrunedRow) else None
        rows.append(
            (
                f"{title(name)}, exported" if name == result.exported else title(name),
                words.measured(row.accuracy, result.test_images),
                "" if pruned is None else words.percent(pruned.part, 0),
                "" if pruned is None else " → ".join(words.percent(value) for value in pruned.validation),
                "" if pruned is None else words.percent(pruned.accuracy_before, 2),
                words.score(dense_score if pruned is None else pruned.score),
                f"{row.macs:,} ({words.percent(row.macs / dense if dense else None)})",
                words.count(row.params),
                f"{row.latency_ms:.2f} ms",
            )
        )
    return rows


HEADINGS = (
    "network", "test accuracy", "fine-tuned", "on validation", "before fine-tuning", "score", "MACs", "parameters",
    "latency",
)  # fmt: skip
CAPTION = (
    "test accuracy: with its standard error, after as much of the fine-tuning as the next column says. on validation: "
    "accuracy before fine-tuning and at each rung, by which finalists went on; the exported network ended best. score: "
    "minus the divergence from the dense network's outputs on the validation split, before fine-tuning, with refined "
    "weights, unlike a trial's. latency: one image on this machine."
)


def result_table(result: RunResult, dense_score: float) -> Table:
    """The table of a run.

    Args:
        result: result of the run.
        dense_score: score of the dense network.
    """
    table = Table(title=f"search {result.search}", caption=CAPTION, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in result_rows(result, dense_score):
        table.add_row(*row, style="bold" if row[0].endswith("exported") else None)
    return table


def structure_table(found: dict[str, Any]) -> Table:
    """Coupling groups, and the layers that stay whole."""
    dense = ", ".join(f"{value:,} {key}" for key, value in found["dense"].items())
    least = ", ".join(f"{value:,} {key}" for key, value in found["least"].items())
    table = Table(title=f"{found['model']}: {dense}; at least {least}")
    for heading in ("coupling group", "channels", "MACs share", "layers"):
        table.add_column(heading, overflow="fold")
    for group in found["coupling_groups"]:
        low, high = group["channels"]
        table.add_row(group["name"], f"{low}-{high}", f"{group['macs_share']:.1%}", ", ".join(group["layers"]))
    for layer, reason in found["whole"].items():
        table.add_row(layer, "whole", "", reason, style="dim")
    return table
