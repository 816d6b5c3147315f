import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mendsearch.mending.distance import APART, distance, spread

COUNTS = st.lists(st.integers(1, 64), min_size=5, max_size=5).map(np.array)


@given(COUNTS, COUNTS)
def test_the_distance_is_symmetric_and_zero_for_equals_only(first, second):
    assert distance(first, second) == distance(second, first)
    assert 0 <= distance(first, second) < 1
    assert (distance(first, second) == 0) == bool((first == second).all())


@given(st.lists(COUNTS, max_size=8), st.integers(0, 5), st.lists(COUNTS, max_size=3))
def test_those_that_are_apart_come_before_copies(candidates, most, beside):
    taken = [tuple(counts) for counts in spread(candidates, most, beside)]
    others = {tuple(counts) for counts in candidates} - {tuple(counts) for counts in beside}
    assert len(taken) == len(set(taken)) == min(most, len(others))
    apart = [all(distance(np.array(a), np.array(b)) >= APART for b in taken[:i]) for i, a in enumerate(taken)]
    assert apart == sorted(apart, reverse=True)


def test_a_near_copy_gives_way_to_one_that_differs():
    first, copy, other = np.array([40, 40, 40]), np.array([40, 41, 40]), np.array([20, 60, 40])
    assert [tuple(counts) for counts in spread([first, copy, other], 2)] == [tuple(first), tuple(other)]
    assert len(spread([first, copy], 2)) == 2, "a copy is better than an empty place"
