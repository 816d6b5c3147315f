"""Plots of the figures in `bench/results/`, as SVG files in `docs/results/plots/`.

The same figures give the same files, byte for byte. `docs/results/` explains the plots.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.files import ROOT, read_figures
from bench.staircase import best_so_far

TAKES = "10 seconds"
PLOTS = ROOT / "docs" / "results" / "plots"
BLUE, ORANGE, GREEN, GREY, PALE = "#0072b2", "#d55e00", "#009e73", "#666666", "#dddddd"
"""Colours that colour-blind readers can tell apart."""
SAMPLERS = {"mending": BLUE, "tpe": ORANGE, "random": GREY, "gp": GREEN, "cmaes": "#cc79a7"}
STRUCTURES = {
    "mended": ("mended", BLUE, "o"),
    "pre_pruned": ("pre-pruned", GREEN, "s"),
    "uniform": ("uniform", ORANGE, "^"),
    "random": ("random", GREY, "x"),
}
NETWORKS = {
    "resnet20": "ResNet-20", "mobilenetv2": "MobileNetV2", "resnet50,": "ResNet-50,",
    "resnet14": "ResNet-14", "resnet14-b": "ResNet-14 (2)", "resnet14-c": "ResNet-14 (3)",
}  # fmt: skip
STYLE = {
    "svg.hashsalt": "mendsearch", "svg.fonttype": "none", "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.titlesize": 9,
    "axes.grid": True, "grid.color": "#eaeaea", "axes.axisbelow": True, "legend.frameon": False,
    "figure.facecolor": "#fcfcfc", "axes.facecolor": "#fcfcfc", "figure.constrained_layout.use": True,
}  # fmt: skip
Found = dict[str, Any]
Draw = Callable[[Found], None]


def fidelity(found: Found) -> None:
    """Kendall's tau by way of scoring, with intervals, and the ceiling as a band."""
    ways = {
        "sequence 256 / agreement": "in sequence, agreement",
        "sequence 256 / loss": "in sequence, loss",
        "channels / agreement": "by channels, agreement",
        "bn / loss": "BN only, loss",
        "bn l1 / loss": "BN only, l1, loss",
        "raw / loss": "raw slices, loss",
    }
    sets = ("resnet20 40%", "resnet20 20%", "resnet20 10%", "mobilenetv2 40%")
    _, panels = pyplot.subplots(1, len(sets), figsize=(9, 2.5), sharey=True, sharex=True)
    for axes, name in zip(panels, sets, strict=True):
        summary = found["summary"][name]
        axes.axvspan(*summary["ceiling"]["interval"], color=PALE, alpha=0.5, lw=0)
        axes.axvline(summary["ceiling"]["tau"], color=GREY, ls="--", lw=1.2)
        for row, way in enumerate(ways):
            colour = BLUE if row == 0 else GREY
            axes.plot(summary[way]["interval"], [row, row], color=colour, lw=1.5)
            axes.plot(summary[way]["tau"], row, "o", color=colour, ms=5.5)
        axes.set(title=_named(f"{name} ({summary['structures']})"), xlim=(-0.5, 1), xlabel="Kendall's tau")
        axes.grid(axis="y", visible=False)
    _rows(panels[0], ways.values())


def untrained(found: Found) -> None:
    """Test accuracy at every budget, without training and after one short fine-tuning."""
    _, panels = pyplot.subplots(1, 2, figsize=(8, 3))
    rates = list(found["rows"])
    for axes, after in zip(panels, (False, True), strict=True):
        axes.axhline(100 * found["dense"], color=GREY, ls="--", lw=1.2)
        axes.text(-0.4, 100 * found["dense"], "dense", color=GREY, va="top")
        for place, rate in enumerate(rates[:2] if after else rates):
            for name, row in found["rows"][rate].items():
                seen = row.get("finetuned", []) if after else [row["accuracy"]]
                _structure(axes, name, place, [100 * value for value in seen])
        _rates(axes, rates[:2] if after else rates)
        axes.set(title="one pass over 20,000 images, two seeds" if after else "no labels, no training")
    panels[0].set(ylabel="test accuracy, %")
    _legend(panels[0], loc="lower left")


def digits(found: Found) -> None:
    """Test accuracy before and after fine-tuning, mean and standard deviation over the splits."""
    _, panels = pyplot.subplots(1, 2, figsize=(8, 2.8))
    for axes, key in zip(panels, ("accuracy_before", "accuracy"), strict=True):
        for place, rows in enumerate(found["summary"].values()):
            for name in STRUCTURES:
                mean, sd = 100 * rows[name][key]["mean"], 100 * (rows[name][key]["sd"] or 0)
                _structure(axes, name, place, [mean], sd)
        _rates(axes, [f"0.{title.split('%')[0].split()[-1]}" for title in found["summary"]])
        axes.set(title="before fine-tuning" if key == "accuracy_before" else "after fine-tuning")
    panels[0].set(ylabel="test accuracy, %")
    _legend(panels[0], loc="lower left")


def efficiency(found: Found) -> None:
    """Scoring of one candidate as a multiple of its bare forward passes."""
    _, axes = pyplot.subplots(figsize=(7, 2.4))
    names, kinds = list(found["networks"]), {"channels": (ORANGE, -0.2), "sequence": (BLUE, 0.2)}
    for kind, (colour, offset) in kinds.items():
        for row, name in enumerate(names):
            value = found["networks"][name][kind]
            text = (
                f"{value['ratio_cpu']:.2f} ({value['scoring_ms'] / 1000:.2g} s, bare {value['bare_ms'] / 1000:.2g} s)"
            )
            axes.barh(row + offset, value["ratio_cpu"], 0.34, color=colour, label=_kind(kind) if row == 0 else None)
            axes.text(max(value["ratio_cpu"], 1.15) + 0.15, row + offset, text, va="center")
    axes.axvline(1.15, color=GREY, ls="--", lw=1.2)
    axes.set(
        xlabel="processor time of scoring over that of its bare forward passes (dashed: the goal of 1.15)", xlim=(0, 17)
    )
    axes.grid(axis="y", visible=False)
    _rows(axes, map(_named, names))
    axes.legend(loc="upper right")


def baseline(found: Found) -> None:
    """Accuracy after fine-tuning against seconds of search, and seconds per trial at equal images."""
    parts = found["found"]
    ours = next(value for name, value in parts.items() if name.startswith("ours,"))
    user = next(value for name, value in parts.items() if name.startswith("user,"))
    _, (left, right) = pyplot.subplots(1, 2, figsize=(8, 2.5), width_ratios=(3, 2))
    for name, value, colour in (("mendsearch", ours, BLUE), ("a user's search", user, ORANGE)):
        left.plot([value["seconds"]] * 2, [100 * seen for seen in value["finetuned"]], "o", color=colour, ms=6)
        left.annotate(name, (value["seconds"], 100 * value["finetuned"][0]), (8, -3), textcoords="offset points")
    left.set(xscale="log", xlim=(8, 900), ylim=(88.5, 92), xlabel="seconds of search", ylabel="fine-tuned, test, %")
    left.set(title=f"structures at {found['rate']:.0%} of the MACs")
    left.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
    left.minorticks_off()
    right.barh([0, 1], [parts["equal images"][side] for side in ("ours", "user")], 0.5, color=[BLUE, ORANGE])
    right.set(title="a trial at equal images", xlabel="seconds")
    right.grid(axis="y", visible=False)
    _rows(right, ("mendsearch", "a user's"))


def samplers(found: Found) -> None:
    """Best score against trials: mean of the seeds, and each seed."""
    names = list(dict.fromkeys(run.rpartition(" ")[0] for run in found["runs"]))
    rates = list(dict.fromkeys(run.rpartition(" ")[2] for run in found["runs"]))
    size = (2.2 * len(names) + 1.5, 2.1 * len(rates) + 0.3)
    _, panels = pyplot.subplots(len(rates), len(names), figsize=size, squeeze=False)
    for axes, (name, rate) in zip(panels.T.flat, product(names, rates), strict=True):
        axes.set(title=_named(f"{name} {rate}"))
        run = found["runs"][f"{name} {rate}"]
        for sampler, colour in SAMPLERS.items():
            if sampler not in run:
                continue
            best = np.array([best_so_far(seed, run["trials"]) for seed in run[sampler]["best"]])[:, 4:]
            trials = np.arange(5, run["trials"] + 1)
            axes.plot(trials, best.T, color=colour, lw=0.6, alpha=0.35)
            axes.plot(trials, best.mean(0), color=colour, lw=1.8, label=sampler)
    for axes in panels[-1]:
        axes.set(xlabel="trials")
    for axes in panels[:, 0]:
        axes.set(ylabel="best score so far")
    panels[-1, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))  # the network that all samplers were tried on


def stopping(found: Found) -> None:
    """Fraction of images that early stopping saves: mean and minimum over the orders."""
    _, axes = pyplot.subplots(figsize=(5, 2.4))
    for search, colour, offset in (("random", GREY, -0.02), ("mending", BLUE, 0.02)):
        rows = {float(name.split()[1]): value for name, value in found["found"].items() if name.startswith(search)}
        doubts = [doubt + offset for doubt in rows]
        mean, least = ([100 * row[key] for row in rows.values()] for key in ("mean_saved", "least_saved"))
        axes.vlines(doubts, least, mean, color=colour, lw=1.5)
        axes.plot(doubts, mean, "o-", color=colour, ms=5.5, lw=0.8, label=f"{search} search: mean")
        axes.plot(doubts, least, "_", color=colour, ms=8, label=f"{search} search: least of {ORDERS} orders")
    axes.axhline(30, color=GREY, ls="--", lw=1.2)
    axes.set(xlabel="standard errors (in use: 1.5; dashed: the goal)", ylabel="images saved, %", ylim=(0, 70))
    axes.set_xticks([1, 1.5, 2, 2.5])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def criteria(found: Found) -> None:
    """Score of uniform structures by criterion, with refined weights."""
    _, panels = pyplot.subplots(1, len(found["networks"]), figsize=(9, 2.5), sharey=True)
    for axes, (name, rates) in zip(panels, found["networks"].items(), strict=True):
        for (rate, scores), colour in zip(rates.items(), (BLUE, ORANGE, GREEN), strict=True):
            values = [row["sequence"] for row in scores.values()]
            axes.plot(values, range(len(values)), "o", color=colour, ms=5.5, label=f"{rate} of the MACs")
        axes.set(title=_named(name), xlabel="score (right is better)", xlim=(None, 0))
    _rows(panels[0], next(iter(found["networks"].values()))["40%"])
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))


def reconstruction(found: Found) -> None:
    """Test accuracy without training against seconds per candidate."""
    kinds = {
        "none": ("BN only", GREY, "x"),
        "channels": ("by channels", ORANGE, "^"),
        "sequence, 256 images, 8 rows a feature": ("in sequence: a trial", BLUE, "o"),
        "sequence, blocks as wholes": ("in sequence: refined", BLUE, "s"),
        "sequence, 4096 images": ("refined, 4,096 images", BLUE, "D"),
    }
    _, panels = pyplot.subplots(1, len(found["uniform"]), figsize=(9, 2.5), sharey=True)
    for axes, (name, rows) in zip(panels, found["uniform"].items(), strict=True):
        for kind, (label, colour, marker) in kinds.items():
            accuracy = 100 * rows[kind]["accuracy"]
            axes.plot(rows[kind]["seconds"], accuracy, marker, color=colour, ms=6, mew=1.6, ls="", label=label)
        axes.set(title=_named(name), xscale="log", xlabel="seconds of a candidate", xlim=(0.1, 8))
        axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
        axes.minorticks_off()
    panels[0].set(ylabel="test accuracy, %")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))


ORDERS = 20
"""Orders of the candidates in `bench.cost.stopping`."""
DRAWN: tuple[Draw, ...] = (
    baseline, criteria, digits, efficiency, fidelity, reconstruction, samplers, stopping, untrained,
)  # fmt: skip


def drawn(draw: Draw, folder: Path) -> Path:
    """The SVG file of one plot, drawn into `folder` from the stored figures of the same name."""
    draw(read_figures(draw.__name__))
    file = folder / f"{draw.__name__}.svg"
    pyplot.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close()
    return file


def _structure(axes: Axes, name: str, place: int, seen: list[float], sd: float = 0) -> None:
    kind = next(kind for kind in STRUCTURES if name.startswith(kind))
    _, colour, marker = STRUCTURES[kind]
    x = [place + 0.16 * (list(STRUCTURES).index(kind) - 1.5)] * len(seen)
    axes.errorbar(x, seen, yerr=sd or None, fmt=marker, color=colour, ms=6, mew=1.6, lw=1.2, alpha=0.85)


def _rates(axes: Axes, rates: list[str]) -> None:
    axes.set_xticks(range(len(rates)), [f"{float(rate):.0%} of the MACs" for rate in rates])
    axes.set_xlim(-0.45, len(rates) - 0.55)
    axes.grid(axis="x", visible=False)


def _rows(axes: Axes, labels: Any) -> None:
    names = list(labels)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _legend(axes: Axes, loc: str) -> None:
    for label, colour, marker in STRUCTURES.values():
        axes.plot([], [], marker, color=colour, mew=1.6, ls="", label=label)
    axes.legend(loc=loc)


def _kind(kind: str) -> str:
    return {"channels": "by channels", "sequence": "in sequence (a trial)"}[kind]


def _named(name: str) -> str:
    return " ".join(NETWORKS.get(word, word) for word in name.split())


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    matplotlib.use("svg")
    PLOTS.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for draw in DRAWN:
            file = drawn(draw, PLOTS)
            print(file, f"{file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
