"""The finalists: the controls, one of them drawn at random, and the best of the search."""

import itertools

import numpy as np
import optuna
import pytest

from mendsearch.config import MendSpec
from mendsearch.mending.distance import APART, distance, spread
from mendsearch.mending.random import random_structures
from mendsearch.progress import Reporter
from mendsearch.study import finalists
from mendsearch.study.finalists import CONTROLS, choose
from mendsearch.study.running import run_study
from tests.unit.mending.test_scoring import search_of

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def search():
    return search_of("residual", macs=0.4)


@pytest.fixture(scope="module")
def study(search):
    spec = MendSpec(trials=12, early_stopping=False)
    return run_study(search, spec, registration=None, name="finalists", seed=0, reporter=QUIET)


def test_the_controls_come_first_then_the_best_of_the_search(study, search):
    found = choose(study, search, 2, 0, QUIET)
    assert list(found) == [*CONTROLS, "mended", "mended_2"]
    for finalist in found.values():
        assert finalist.score == pytest.approx(search.scorer.refined_score(finalist.counts))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_alone_decides_which_structure_is_drawn(study, search, seed):
    (drawn,) = random_structures(search.space, 1, seed)
    for _ in range(2):
        assert tuple(choose(study, search, 1, seed, QUIET)["random"].counts) == tuple(drawn)


def test_the_search_takes_no_credit_for_a_drawn_structure_that_scores_best(study, search, monkeypatch):
    """One that it did not find: here all channels, which no candidate may keep."""
    dense = search.problem.coupling.widths
    monkeypatch.setattr(finalists, "random_structures", lambda space, count, seed: [dense])
    found = choose(study, search, 3, 0, QUIET)
    assert found["random"].score == max(finalist.score for finalist in found.values())
    assert all(tuple(found[name].counts) != tuple(dense) for name in found if name.startswith("mended"))


def test_finalists_are_apart_though_the_best_trials_are_near_copies(search):
    space, drawn = search.space, random_structures(search.space, 200, 5)
    close = lambda one: [other for other in drawn if 0 < distance(one, other) < APART]  # noqa: E731
    best = max(drawn, key=lambda one: len({tuple(other) for other in close(one)}))
    near = [np.array(one) for one in {tuple(other) for other in close(best)}][:3]
    far = [one for one in drawn if distance(one, best) >= APART]
    assert near
    study = optuna.create_study(direction="maximize")
    for rank, counts in enumerate([best, *near, *spread(far, 3)]):
        distributions = space.distributions
        trial = optuna.create_trial(params=space.params(counts), distributions=distributions, value=-0.1 - 0.01 * rank)
        study.add_trial(trial)
    found = choose(study, search, 3, 0, QUIET)
    mended = [finalist.counts for name, finalist in found.items() if name.startswith("mended")]
    assert len(mended) == 3
    assert all(distance(one, other) >= APART for one, other in itertools.combinations(mended, 2))
