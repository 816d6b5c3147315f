import json
import re
from pathlib import Path

import pytest

import mendview
from bench.fleet.synthetic import results_of, structure_of
from mendstore.queries.trials import Point
from mendstore.records import RunResult, Structure, Timing
from mendview import figures
from mendview.figures.style import PALETTE

CSS = (Path(mendview.__file__).parent / "static" / "mend.css").read_text(encoding="utf-8")


@pytest.mark.parametrize(("place", "start"), [(0, ":root {"), (1, ':root[data-theme="dark"] {')])
def test_pages_have_the_colours_of_the_palette(place, start):
    block = CSS.partition(start)[2].partition("}")[0]
    found = dict(re.findall(r"(--[\w-]+): ([^;]+);", block))
    assert {name: found.get(name) for name in PALETTE} == {name: colours[place] for name, colours in PALETTE.items()}


def luminance(colour):
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "name",
    ["--mended", "--pre-pruned", "--uniform", "--random", "--curves", "--floor", "--trial", "--failed", "--dense-line"],
)
def test_marks_stand_out_from_the_surface(name, dark):
    mark, surface = luminance(PALETTE[name][dark]), luminance(PALETTE["--surface"][dark])
    light, deep = max(mark, surface), min(mark, surface)
    assert (light + 0.05) / (deep + 0.05) >= 3


def test_a_figure_says_what_it_shows_and_every_colour_has_a_name():
    structure = Structure.read(structure_of(30))
    figure = figures.channels(structure, structure.uniform)
    assert "30 coupling groups" in figure["layout"]["meta"]["alt"]
    named = set(re.findall(r'"(--[\w-]+)"', json.dumps(figure)))
    assert named <= PALETTE.keys()
    assert "--" not in re.sub(r"[\w ]--[\w ]", "", json.dumps(figures.resolved(figure)))


def test_names_in_figures_are_text():
    name = "<b>bold</b>"
    structure = Structure.read({"widths": {name: 4}})
    assert figures.channels(structure, {name: 2})["data"][0]["x"] == ["&lt;b&gt;bold&lt;/b&gt;"]


TIMING = Timing(
    setting={}, profile="digest", error=0.04, asked_ms=6.0,
    predicted_ms={"dense": 10.0, "uniform": 6.0}, measured_ms={"dense": 10.5, "uniform": 6.5}, noise=0.01,
    layers_ms={"dense": {"conv1": 7.0, "fc": 2.0}, "uniform": {"conv1": 4.0, "fc": 1.5}},
)  # fmt: skip


def test_times_of_layers_add_up_to_the_predicted_times():
    dense, pruned = figures.layer_times(TIMING, "uniform")["data"]
    assert dense["x"] == pruned["x"] == ["conv1", "fc", "outside the layers"]
    assert (dense["y"], pruned["y"]) == ([7.0, 2.0, 1.0], [4.0, 1.5, 0.5])


def test_measured_times_are_shown_against_predicted_ones_and_the_budget():
    figure = figures.predictions(TIMING)
    assert figure["data"][1]["y"] == [6.0, 6.0]
    assert [(trace["name"], trace["x"], trace["y"]) for trace in figure["data"][2:]] == [
        ("dense", [10.0], [10.5]),
        ("uniform", [6.0], [6.5]),
    ]


def test_measured_times_are_shown_at_the_pace_of_the_profile():
    figure = figures.predictions(TIMING.model_copy(update={"pace": 2.0}))
    assert figure["data"][1]["y"] == [6.0, 6.0]
    assert [trace["y"] for trace in figure["data"][2:]] == [[5.25], [3.25]]


def test_the_front_of_trials_is_what_nothing_beats_in_both():
    trials = [
        Point(number, score, macs, None)
        for number, (score, macs) in enumerate([(-0.5, 10), (-0.4, 20), (-0.45, 30), (-0.1, 40), (-0.1, 50)])
    ]
    front = figures.scatter(trials, "macs")["data"][1]
    assert front["text"] == ["0", "1", "3"]
    lower_is_better = figures.scatter(trials, "macs", sign=-1)["data"][1]
    assert lower_is_better["text"] == ["0"]


def test_the_figure_of_channels_shows_every_structure_in_network_order():
    kept = {"conv1": 7, "layer1.0.conv1": 9}
    widths, floor = {"conv1": 16, "layer1.0.conv1": 32}, {"conv1": 3, "layer1.0.conv1": 5}
    structure = Structure.read({"widths": widths, "floor": floor, "pre_pruned": kept, "uniform": kept})
    figure = figures.plotly_figure(figures.channels(structure, kept))
    names = ["dense", "mended: at the floor", "mended: restored", "pre-pruned", "uniform"]
    assert [trace.name for trace in figure.data] == names
    assert list(figure.data[1].x) == ["conv1", "layer1.0.conv1"]
    assert [counts[0] for counts in figure.data[1].customdata] == [3, 5]
    assert [counts[0] for counts in figure.data[2].customdata] == [4, 4]


def shown(axis, tick_format):
    """Labels of six even ticks, as plotly.js would write them: significant digits in millions."""
    low, high = axis
    digits = int(re.match(r"\.(\d)~s", tick_format).group(1))
    return [f"{(low + (high - low) * index / 5) / 1e6:.{digits}g}" for index in range(6)]


@pytest.mark.parametrize("span", [3e6, 2e4, 900])
def test_ticks_of_trials_near_one_budget_differ(span):
    trials = [Point(number, -0.5, 31e6 + span * number / 9, None) for number in range(10)]
    xaxis = figures.scatter(trials, "macs")["layout"]["xaxis"]
    assert len(set(shown((31e6, 31e6 + span), xaxis["tickformat"]))) == 6


def test_the_front_shows_each_control_by_a_mark_of_its_own_and_random_where_a_run_has_it():
    structure = structure_of(3)
    newer = results_of(structure, structure["uniform"], -0.05, "newer", 9)
    rows = {name: row for name, row in newer["finalists"].items() if name != "random"}
    runs = {"newer": RunResult.read(newer), "older": RunResult.read(newer | {"search": "older", "finalists": rows})}
    traces = {trace["name"]: trace for trace in figures.front(runs, "latency_ms")["data"]}
    assert list(traces) == ["exported", "dense", "uniform", "pre-pruned", "random"]
    assert traces["uniform"]["text"] == ["newer", "older"]
    assert (traces["random"]["text"], traces["random"]["y"]) == (["newer"], [0.899])
    marks = {(trace["marker"]["symbol"], trace["marker"]["color"]) for trace in traces.values()}
    assert len(marks) == len({colour for _, colour in marks}) == 5
    older = figures.front({"older": runs["older"]}, "macs")["data"]
    assert [trace["name"] for trace in older] == ["exported", "dense", "uniform", "pre-pruned"]
    assert figures.front({}, "macs")["data"] == []


def test_accuracy_ends_at_one_however_few_networks_there_are():
    structure = structure_of(3)
    result = results_of(structure, structure["uniform"], -0.05, "few", 9)
    for row in result["finalists"].values():
        row["part"], row["accuracy"] = 1.0, 0.9889
    figure = figures.fidelity(RunResult.read(result))
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0.9 < low < 0.9889 < high <= 1
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < -0.17 < -0.05 < high < 0.1
    assert [trace["text"] for trace in figure["data"]] == [["uniform, mended"], ["pre-pruned"], ["random"]]


def test_long_names_leave_a_figure_its_height():
    short, long = ({f"{prefix}{index}": 4 for index in range(3)} for prefix in ("c", "features.denseblock1.denselayer"))
    heights = [
        figures.channels(Structure.read({"widths": widths}), dict.fromkeys(widths, 2))["layout"]["height"]
        for widths in (short, long)
    ]
    assert heights[1] - heights[0] > 100
