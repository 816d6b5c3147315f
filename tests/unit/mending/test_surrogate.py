"""The model of the score, and the moves along the budget that it chooses from."""

import numpy as np

from mendsearch.mending.moves import moved
from mendsearch.mending.surrogate import Surrogate
from tests.unit.mending.test_scoring import search_of

SEARCH = search_of("residual", macs=0.5)
SPACE = SEARCH.space


def drawn(count, seed=0):
    generator = np.random.default_rng(seed)
    room = SPACE.coupling.widths - SPACE.floor
    return np.array([SPACE.project(SPACE.floor + generator.integers(0, room + 1)) for _ in range(count)])


def score(counts):
    return -0.01 - np.square(np.log(counts / SEARCH.uniform)).sum(-1)


def test_it_predicts_structures_that_it_has_not_seen():
    seen, unseen = drawn(60), drawn(40, seed=1)
    surrogate = Surrogate(SPACE.coupling.widths, SEARCH.curves)
    surrogate.fit(seen, score(seen))
    mean, deviation = surrogate.predict(unseen.astype(float))
    assert np.corrcoef(mean, -np.log(-score(unseen)))[0, 1] > 0.8
    assert (deviation > 0).all()


def test_it_learns_from_a_metric_that_is_positive():
    seen, unseen = drawn(60), drawn(40, seed=1)
    surrogate = Surrogate(SPACE.coupling.widths, SEARCH.curves)
    surrogate.fit(seen, 0.9 + 0.1 * score(seen))
    mean, _ = surrogate.predict(unseen.astype(float))
    assert np.corrcoef(mean, score(unseen))[0, 1] > 0.8


def test_it_is_surer_of_what_it_has_seen():
    seen = drawn(30)
    surrogate = Surrogate(SPACE.coupling.widths, SEARCH.curves)
    surrogate.fit(seen, score(seen))
    _, near = surrogate.predict(seen.astype(float))
    _, far = surrogate.predict(np.tile(np.ones(seen.shape[1]), (30, 1)))
    assert near.mean() < far.mean() / 2


def test_two_structures_and_equal_scores_are_enough():
    surrogate = Surrogate(SPACE.coupling.widths, SEARCH.curves)
    pair = drawn(2)
    surrogate.fit(pair, np.array([-0.5, -0.5]))
    assert all(np.isfinite(part).all() for part in surrogate.predict(pair.astype(float)))


def test_moves_stay_near_the_budget_and_between_floor_and_width():
    parents = drawn(50)
    found = moved(parents, SPACE, np.random.default_rng(0))
    assert (found >= SPACE.floor - 1e-9).all()
    assert (found <= SPACE.coupling.widths + 1e-9).all()
    usage = SPACE.limits.usage(found)
    assert np.median(np.abs(usage - 1)) < 0.02
    assert (np.abs(found - parents).max(1) >= 0.5).mean() > 0.8
