"""Stored figures: short files that still hold what tables and plots need."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from bench import plots
from bench.accuracy.head_to_head_table import REFERENCE, exported
from bench.files import ROOT, WIDTH, dumps, read_figures
from bench.staircase import best_so_far, improvements

numbers = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
)


@given(values)
def test_any_value_is_read_back(value: object) -> None:
    assert json.loads(dumps(value)) == value


def test_what_fits_a_line_stands_on_one_line() -> None:
    text = dumps({"a": {"keep_counts": [7, 9], "macs": 5}, "long": list(range(100)), "texts": ["x" * 70] * 2})
    assert '"a": {"keep_counts": [7, 9], "macs": 5}' in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert len(text.splitlines()) < 15


@given(st.lists(st.floats(-10, 0), min_size=1, max_size=50))
def test_best_scores_are_the_same_after_storing_improvements(scores: list[float]) -> None:
    best = np.maximum.accumulate(scores)
    short = improvements(best.tolist())
    assert len(short["trial"]) == len(set(best.tolist()))
    assert (best_so_far(short, len(best)) == best).all()


def test_taus_in_the_table_follow_from_the_stored_scores() -> None:
    found = read_figures("fidelity")
    assert sum(rows["structures"] for rows in found["summary"].values()) == 112
    for title, structures in found["structures"].items():
        mean = np.mean(structures["accuracies"], axis=0)
        for way, scores in structures["scores"].items():
            assert kendalltau(scores, mean).statistic == pytest.approx(found["summary"][title][way]["tau"]), (
                title,
                way,
            )


def test_means_in_the_table_follow_from_the_stored_rows() -> None:
    found = read_figures("digits")
    for rate, summary in zip((0.2, 0.1), found["summary"].values(), strict=True):
        splits = [each["rows"] for each in found["comparisons"].values() if each["budget"] == {"macs": rate}]
        assert len(splits) == 5
        for row in ("uniform", "pre_pruned", "mended"):
            mean = np.mean([rows[row]["accuracies"] for rows in splits])
            assert mean == pytest.approx(summary[row]["accuracy"]["mean"], abs=1e-6), (rate, row)


def rows_of(document: str, row: str) -> dict[str, list[str]]:
    """Cells by row of the first table in a document that has a row of that name, without what makes them bold."""
    text = (ROOT / document).read_text().replace("**", "")
    for is_table, lines in itertools.groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        cells = [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]
        if is_table and any(each[0] == row for each in cells):
            return {each[0]: each[1:] for each in cells[2:]}
    raise AssertionError(f"{document} has no row {row}")


def numbers_in(cell: str) -> list[float]:
    return [float(part) for part in re.findall(r"-?\d+\.\d+", cell)]


def test_the_table_of_samplers_is_of_the_stored_figures() -> None:
    summary, rows = read_figures("samplers")["summary"], rows_of("docs/results/scoring.md", "Fashion ResNet-20, 15%")
    names = {"digits ResNet-14": "digits resnet14", "digits ResNet-14 (2)": "digits resnet14-b"}
    names |= {"digits ResNet-14 (3)": "digits resnet14-c", "Fashion ResNet-20": "fashion resnet20"}
    assert len(rows) == len(summary)
    for title, cells in rows.items():
        network, _, rate = title.rpartition(", ")
        found = summary[f"{names[network]} {rate}"]
        for sampler, cell in zip(("mending", "tpe", "random"), cells[3:6], strict=True):
            scores = [found[sampler][trials] for trials in ("60", "200") if trials in found.get(sampler, {})]
            assert cell == " / ".join(f"{score:.3f}" for score in scores), (title, sampler)
        assert cells[0] == f"{found['structures']['uniform']:.3f}"


HEAD = {"mended": "mended", "mended 2": "mended_2", "mended 3": "mended_3", "pre-pruned": "pre_pruned"}
"""Rows of the head to head that have another name than their figures."""


def test_the_head_to_head_is_of_the_stored_figures() -> None:
    found, rows = read_figures("head-to-head"), rows_of("docs/results/ladder.md", "mended 3")
    cells = [
        each | {"exported": exported(each)}
        for title, each in found["cells"].items()
        if not any(part in title for part in REFERENCE)
    ]
    for row, shown in rows.items():
        method = HEAD.get(row, row)
        for each, cell in zip(cells, shown[: len(cells)], strict=True):
            test = 100 * np.array(each[method]["test"]) if method in each else None
            wanted = [] if test is None else [test.mean(), test.std(ddof=1)]
            assert numbers_in(cell) == pytest.approx(wanted, abs=0.006), (row, cell)
        for ours, cell in zip(("mended", "exported"), shown[len(cells) :], strict=True):
            ahead = found["summary"][method][f"{ours} ahead"]
            wanted = [100 * ahead["mean"], 100 * ahead["half_width"]] if ahead else []
            assert numbers_in(cell) == pytest.approx(wanted, abs=0.006), (row, cell)


@pytest.mark.parametrize("draw", plots.DRAWN, ids=lambda draw: draw.__name__)
def test_stored_figures_give_the_plots_of_the_documents(draw: plots.Draw, tmp_path: Path) -> None:
    matplotlib.use("svg")
    with matplotlib.rc_context(plots.STYLE):
        plots.drawn(draw, tmp_path)
    assert (tmp_path / f"{draw.__name__}.svg").read_bytes() == (plots.PLOTS / f"{draw.__name__}.svg").read_bytes()
