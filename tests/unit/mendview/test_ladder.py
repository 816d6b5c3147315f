"""The last rungs in words: who reached which rung, who works on what, how ranks changed."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from mendstore.queries.ladder import FineTuning, Ladder, LadderFinalist
from mendview import ladder
from mendview.pages.base import render


def step(rung, value=None, state="done", **more):
    given = {"tie": 0.0, "weights": None, "seconds": 1.0, "epoch": 0, "ordinal": 1, "held_s": None, "log": None}
    return FineTuning(rung, state, value, **(given | more))


def finalist(name, key, score, *steps):
    return LadderFinalist(name, key, {"a": 1}, score, None, steps)


UNDER_WAY = Ladder(
    "recipe", "done", None, 2.0, (0.25, 0.5, 1.0), (3, 2, 1),
    (
        finalist("uniform", "1", -0.3, step(0, 0.91), step(1, 0.93)),
        finalist("pre_pruned", "2", -0.2, step(0, 0.85)),
        finalist("curves", "2", -0.2, step(0, 0.85)),
        finalist("mended", "3", -0.1, step(0, 0.90), step(1, None, "leased", held_s=75.0, epoch=3, ordinal=4)),
    ),
)  # fmt: skip


def test_counts_who_works_and_how_ranks_changed():
    assert ladder.lines(UNDER_WAY) == [
        "Fine-tuning: 4 of 6 done; uniform is ahead, 0.9300 on validation at 50%.",
        "finalists at 25%: 3 of 3, 50%: 1 of 2, 100%: 0 of 1",
        "mended to 50%: worker 4 for 1 min 15 s, 3 passes kept",
        "ranks by score and at each rung: uniform 3 → 1 → 1, pre-pruned 2 → 3, mended 1 → 2",
    ]
    assert not UNDER_WAY.over


def test_the_table_has_a_row_for_each_structure():
    assert ladder.headings(UNDER_WAY) == ["finalist", "score", "25%", "50%", "100%", "now"]
    assert ladder.rows(UNDER_WAY)[1] == ["pre-pruned, curves", "−0.2000 (2)", "0.8500 (3)", "", "", ""]
    html = render("ladder", ladder=UNDER_WAY, words_of=ladder)
    assert html.count("<tr") == 4
    assert '<tr class="strong"><td class="left">uniform</td>' in html
    assert "worker 4 for 1 min 15 s" in html


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"choice": "leased", "finalists": (), "places": (), "parts": ()}, "Choosing the finalists."),
        ({"choice": "set_aside"}, "The finalists could not be chosen."),
        ({"places": (), "parts": ()}, "3 finalists chosen, without fine-tuning."),
        (
            {"finalists": UNDER_WAY.finalists[:3]},
            "All 3 fine-tunings done; uniform is ahead, 0.9300 on validation at 50%.",
        ),
    ],
)
def test_in_a_sentence(changed, said):
    seen = replace(UNDER_WAY, **changed)
    if "parts" in changed:
        seen = replace(seen, finalists=tuple(replace(found, fine_tunings=()) for found in seen.finalists))
    assert ladder.said(seen) == said
    console = Console(file=io.StringIO())
    console.print("\n".join(ladder.lines(seen)))


def test_what_is_left():
    assert ladder.left(UNDER_WAY) == "2 fine-tunings to go"
    assert ladder.left(replace(UNDER_WAY, choice="waiting", finalists=(), places=())) == "finalists to be chosen"


def test_as_plain_values():
    assert ladder.summary(None) is None
    found = ladder.summary(UNDER_WAY)
    assert (found["best"], found["over"], found["places"]) == ("uniform", False, {"0.25": 3, "0.5": 2, "1.0": 1})
    assert found["validation"]["mended"] == [0.90]


def test_of_equal_standings_the_one_that_got_further_is_ahead():
    equal = replace(UNDER_WAY, finalists=(finalist("uniform", "1", None, step(0, 0.9)), finalist("mended", "3", -0.1, step(0, 0.8), step(1, 0.9))))  # fmt: skip
    assert equal.best.name == "mended"
