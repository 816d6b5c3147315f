import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mendsearch.mending.ladder import RUNGS, Standing, best, climb, lead, promoted

STANDINGS = st.builds(Standing, st.sampled_from([0.8, 0.9, 0.95]), st.floats(-3, 0))


@given(st.integers(1, 12), st.data())
def test_the_chosen_finalist_is_behind_none_at_the_last_rung_that_each_reached(count, data):
    asked = []

    def judge(name, rung):
        asked.append((name, rung))
        return data.draw(STANDINGS)

    reached = climb([f"f{i}" for i in range(count)], judge)
    chosen = reached[best(reached)][-1]
    assert all(standings[-1] <= chosen for standings in reached.values())
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
    assert names[best(reached)] == max(values)


def test_equal_accuracies_are_decided_by_the_loss():
    losses = {"a": -0.5, "b": -0.2}
    assert best(climb(losses, lambda name, rung: Standing(0.9, losses[name]))) == "b"


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
