"""Stored figures: short files that still hold what tables and plots need."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from bench import plots
from bench.files import WIDTH, dumps, read_figures
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


@pytest.mark.parametrize("draw", plots.DRAWN, ids=lambda draw: draw.__name__)
def test_stored_figures_give_the_plots_of_the_documents(draw: plots.Draw, tmp_path: Path) -> None:
    matplotlib.use("svg")
    with matplotlib.rc_context(plots.STYLE):
        plots.drawn(draw, tmp_path)
    assert (tmp_path / f"{draw.__name__}.svg").read_bytes() == (plots.PLOTS / f"{draw.__name__}.svg").read_bytes()
