import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mendsearch.mending.ladder import RUNGS, Kept, Standing, climb, compared, kept, lead, promoted

STANDINGS = st.builds(Standing, st.sampled_from([0.8, 0.9, 0.95]), st.floats(-3, 0))


@given(st.integers(1, 12), st.data())
def test_the_chosen_finalist_is_behind_none_at_the_last_rung_that_each_reached_nor_before(count, data):
    asked = []

    def judge(name, rung):
        asked.append((name, rung))
        return data.draw(STANDINGS)

    reached = climb([f"f{i}" for i in range(count)], judge)
    before = {name: data.draw(STANDINGS) for name in reached}
    chosen = max(kept(before[name], standings) for name, standings in reached.items()).standing.value
    assert all(max(before[name].value, standings[-1].value) <= chosen for name, standings in reached.items())
    assert len(asked) == len(set(asked)), "no finalist is fine-tuned to a rung twice"
    assert max(map(len, reached.values())) == len(RUNGS), "one has had the whole fine-tuning"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True))
def test_the_better_half_is_promoted(values):
    names = {f"f{i}": value for i, value in enumerate(values)}
    reached = climb(names, lambda name, rung: Standing(names[name], 0.0))
    climbing = sorted(names, key=lambda name: -names[name])
    for rung in range(len(RUNGS)):
        assert {name for name, standings in reached.items() if len(standings) > rung} == set(climbing)
        climbing = climbing[: promoted(len(climbing))]
    assert max(standings[-1] for standings in reached.values()).value == max(values)


def test_equal_accuracies_are_decided_by_the_loss():
    before, reached = Standing(0.8, 0.0), {"a": [Standing(0.9, -0.5)], "b": [Standing(0.9, -0.2)]}
    assert max(reached, key=lambda name: kept(before, reached[name])) == "b"


def test_a_finalist_that_fine_tuning_made_worse_is_kept_as_it_was():
    good, worse, bad = Standing(0.9, -0.3), Standing(0.9, -0.5), Standing(0.1, 0.0)
    assert kept(good, [good, bad]) == Kept(good, 0)
    assert kept(bad, [bad, good]) == Kept(good, 2)
    assert kept(good, [worse]) == Kept(worse, 1), "what is as good is kept fine-tuned"
    assert kept(good, []) == Kept(good, 0)


def test_equal_up_to_rounding_is_not_worse():
    before, level = Standing(0.9653333302736282, -1.0), Standing(0.9653333301544189, -2.0)
    assert kept(before, [Standing(0.9, 0.0), level]) == Kept(level, 2)
    assert kept(before, [Standing(0.96533, 0.0)]) == Kept(before, 0)


@pytest.mark.parametrize(("rungs", "at"), [((3, 1), (1, 1)), ((3, 3), (3, 3)), ((3, 0), (3, 0)), ((0, 2), (0, 2))])
def test_finalists_are_compared_after_equal_fine_tuning_where_both_are_kept_fine_tuned(rungs, at):
    assert compared(*rungs) == at


@pytest.mark.parametrize(("finalists", "cost"), [("abcdef", 3.25), ("abcdefg", 3.75)])
def test_so_many_finalists_cost_less_than_four_whole_fine_tunings(finalists, cost):
    parts = {0: RUNGS[0], 1: RUNGS[1] - RUNGS[0], 2: RUNGS[2] - RUNGS[1]}
    spent = []
    climb(finalists, lambda name, rung: spent.append(parts[rung]) or Standing(0.0, 0.0))
    assert sum(spent) == cost


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=200))
def test_of_right_answers_the_lead_is_that_of_mcnemars_test(answers):
    ours, theirs = (torch.tensor(column, dtype=torch.float64) for column in zip(*answers, strict=True))
    value, error = lead(ours, theirs)
    won, lost = (sum(mine > other for mine, other in pairs) for pairs in (answers, [pair[::-1] for pair in answers]))
    count = len(answers)
    assert value == pytest.approx((won - lost) / count)
    assert error == pytest.approx(math.sqrt(won + lost - (won - lost) ** 2 / count) / count, abs=1e-12)
