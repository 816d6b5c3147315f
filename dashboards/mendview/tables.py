"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from mendstore.records import PrunedRow, RunResult, Timing, title
from mendview import words
from mendview.words import device


def result_rows(result: RunResult | None, dense_score: float | None) -> list[tuple[str, ...]]:
    """The rows of a result under `headings`; none where there is no result.

    Args:
        result: result of a run.
        dense_score: score of the dense network, where known.
    """
    if result is None:
        return []
    rows: list[tuple[str, ...]] = []
    for name, row in result.rows.items():
        pruned = row if isinstance(row, PrunedRow) else None
        rows.append(
            (
                _named(result, name),
                words.measured(name, result),
                "" if pruned is None else words.percent(pruned.part, 0),
                "" if pruned is None else " → ".join(words.figure(value, result, 1) for value in pruned.validation),
                "" if pruned is None else words.figure(result.figures_before[name], result),
                words.score(dense_score if pruned is None else pruned.score),
                *_costs(result, name),
                _latency(result, name),
            )
        )
    return rows


def _named(result: RunResult, name: str) -> str:
    """The name of a row: with the row above that is the same network, if there is one, and whether it was exported."""
    rows = list(result.finalists)
    above = rows[: rows.index(name)] if name in rows else []
    same = [one for one in above if result.finalists[one].keep_counts == result.finalists[name].keep_counts]
    shown = f"{title(name)} (= {title(same[0])})" if same else title(name)
    return f"{shown}, exported" if name == result.exported else shown


def _latency(result: RunResult, name: str) -> str:
    """Where the budget is in time, that on each of its devices; else that on the machine of the run."""
    if not result.timings:
        return f"{result.times_ms[name]:.2f} ms"
    return ", ".join(_of_device(limit, timing, name) for limit, timing in result.timings.items())


def _of_device(limit: str, timing: Timing, name: str) -> str:
    """The time of a network on a device of the budget."""
    predicted, measured = timing.predicted_ms[name], timing.measured_ms.get(name)
    if measured is None:
        return f"{words.cost(limit, predicted)} predicted"
    return f"{words.cost(limit, measured)} ({predicted:.3g} predicted)"


def headings(result: RunResult | None) -> tuple[str, ...]:
    """The headings of the columns."""
    figure = "accuracy" if result is None else result.figure_name
    return (
        "network", f"test {figure}", "fine-tuned", "on validation", "before fine-tuning", "score", "MACs", "parameters",
        "latency",
    )  # fmt: skip


def caption(result: RunResult | None) -> str:
    """What the columns hold."""
    figure = "accuracy" if result is None else result.figure_name
    error = "with its standard error, " if result is not None and result.metric is None else ""
    if result is None or result.metric in (None, "agreement"):
        score = "minus the divergence from the dense network's outputs on the validation split"
    else:
        score = f"{figure} on the validation split"
    enough = "" if result is None or result.best in (None, result.exported) else " of those that are fast enough"
    return (
        f"test {figure}: {error}after as much of the fine-tuning as the next column says, none where that made it "
        f"worse on validation. on validation: {figure} before fine-tuning and at each rung, by which finalists "
        f"went on; the exported network is the best by it{enough}. "
        f"before fine-tuning: test {figure} then. score: "
        f"{score}, before fine-tuning, with refined weights, unlike a trial's. latency: {_latency_of(result)}."
    )


def _latency_of(result: RunResult | None) -> str:
    """What the times are of."""
    if result is None or not result.timings:
        return "one image on this machine, as exact as the machine is quiet"
    found = []
    for limit, timing in result.timings.items():
        met, named, setting = {None: "", True: ", met", False: ", not met"}[timing.met], device(limit), timing.setting
        of = f"a pass of {setting.get('batch')} in {setting.get('runtime')} on {setting.get('device')}"
        asked = f"{timing.asked_ms:.3g} ms were asked for{_pace(timing)}{met}"
        error = f"predictions err by {words.percent(timing.error)} on average"
        found.append(f"{f'{named}: ' if named else ''}{of}; {asked}; {error}")
    return ". ".join(found)


def _pace(timing: Timing) -> str:
    return f" ({timing.most_ms:.3g} at the pace at which the device was measured)" if timing.paced else ""


def result_table(result: RunResult, dense_score: float) -> Table:
    """The table of a run.

    Args:
        result: result of the run.
        dense_score: score of the dense network.
    """
    table = Table(title=f"search {result.search}", caption=caption(result), caption_justify="left")
    for heading in headings(result):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in result_rows(result, dense_score):
        table.add_row(*row, style="bold" if row[0].endswith("exported") else None)
    return table


def budgets_table(results: Sequence[RunResult]) -> Table:
    """The table of several budgets of one network, the dense network first.

    Args:
        results: results of the runs, in order.
    """
    first = results[0]
    figure = f"test {first.figure_name}"
    controls = list(dict.fromkeys(name for result in results for name in result.main_controls))
    caption = (
        f"{figure}: of the exported network, and of the controls at the same budget, each after as much of the "
        f"fine-tuning as the table of its search says. Percentages are of the dense network: its MACs, and its latency "
        f"in the same run, on the first device of a budget that names several."
    )
    table = Table(title="budgets", caption=caption, caption_justify="left")
    for heading in ("search", "exported"):
        table.add_column(heading, no_wrap=True)
    for heading in (figure, *(title(name) for name in controls), "MACs", "parameters", "latency"):
        table.add_column(heading, justify="right")
    dense = words.measured("dense", first)
    table.add_row("", "dense", dense, *("" for _ in controls), *_costs(first, "dense"), _latency(first, "dense"))
    for result in results:
        name, times = result.exported, result.times_ms
        figures = [words.measured(one, result) for one in (name, *controls)]
        part = words.percent(times[name] / times["dense"] if times["dense"] else None)
        latency = f"{_latency(result, name)} ({part})"
        table.add_row(result.search, title(name), *figures, *_costs(result, name), latency)
    return table


def _costs(result: RunResult, name: str) -> tuple[str, str]:
    """MACs and parameters of a network of a result."""
    row, dense = result.rows[name], result.dense.macs
    return f"{row.macs:,} ({words.percent(row.macs / dense if dense else None)})", words.count(row.params)


def structure_table(found: dict[str, Any]) -> Table:
    """Coupling groups, and the layers that stay whole."""
    dense = ", ".join(f"{value:,} {key}" for key, value in found["dense"].items())
    least = ", ".join(f"{value:,} {key}" for key, value in found["least"].items())
    table = Table(
        title=f"{found['model']}: {dense}; at least {least}",
        caption="channels: how many may be kept, each with those that go with it. MACs share: saved if one is kept; a "
        "layer between two groups counts for both",
        caption_justify="left",
    )
    for heading in ("coupling group", "channels", "MACs share", "layers"):
        table.add_column(heading, overflow="fold")
    for group in found["coupling_groups"]:
        low, high = group["channels"]
        table.add_row(group["name"], f"{low}-{high}", f"{group['macs_share']:.1%}", ", ".join(group["layers"]))
    for layer, reason in found["whole"].items():
        table.add_row(layer, "whole", "", reason, style="dim")
    return table


def outputs_table(found: dict[str, Any]) -> Table:
    """The network's outputs, and how candidates are compared by them."""
    table = Table(title="outputs", caption="score.outputs in the spec sets others", caption_justify="left")
    for heading in ("output", "shape of an item", "divergence", "weight", "reason"):
        table.add_column(heading, overflow="fold")
    for output in found["outputs"]:
        shape = " x ".join(map(str, output["shape"])) or "1"
        kind = output["divergence"] if output["axis"] is None else f"{output['divergence']}, axis {output['axis']}"
        weight = "" if output["divergence"] == "none" else f"{output['weight']:g}"
        table.add_row(output["name"], shape, kind, weight, output["reason"])
    return table
