"""Structures drawn at random."""

import itertools

import numpy as np
import torch

from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.mending.random import random_structures
from mendsearch.mending.space import Space
from tests.unit.mending.test_scoring import search_of

SPACE = search_of("residual", macs=0.4).space


def keys(structures):
    return [tuple(map(int, counts)) for counts in structures]


def test_they_fit_the_budget_use_it_up_and_differ():
    drawn = random_structures(SPACE, 20, seed=0)
    assert len(set(keys(drawn))) > 5
    for counts in drawn:
        assert SPACE.limits.fits(counts)
        assert (counts >= SPACE.floor).all()
        assert (counts <= SPACE.coupling.widths).all()
        np.testing.assert_array_equal(SPACE.project(counts), counts)


def test_restorations_are_drawn_between_none_and_all(monkeypatch):
    proposed = []
    monkeypatch.setattr(SPACE, "project", lambda counts: proposed.append(counts) or counts)
    random_structures(SPACE, 400, seed=0)
    np.testing.assert_array_equal(np.min(proposed, axis=0), SPACE.floor)
    np.testing.assert_array_equal(np.max(proposed, axis=0), SPACE.coupling.widths)
    halfway = (SPACE.floor + SPACE.coupling.widths) / 2
    np.testing.assert_allclose(np.mean(proposed, axis=0), halfway, atol=0.1 * SPACE.coupling.widths.max())


def test_a_seed_gives_the_same_structures_on_every_machine():
    drawn = keys(random_structures(SPACE, 3, seed=7))
    assert drawn == [(2, 2, 6, 6, 10, 11), (4, 1, 3, 4, 10, 13), (4, 1, 5, 3, 8, 13)]
    assert drawn != keys(random_structures(SPACE, 3, seed=8))


def test_few_coupling_groups_have_all_structures_that_no_channel_can_be_added_to():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 24, 3), torch.nn.Conv2d(24, 32, 3), torch.nn.Conv2d(32, 12, 1), torch.nn.Flatten()
    )
    model.append(torch.nn.Linear(12 * 144, 4))
    limits = Limits(Budget(macs=0.5), build_cost_model(model, find_coupling(model, torch.randn(2, 3, 16, 16))))
    space = Space(np.ones(3, dtype=np.int64), limits)
    every = np.array(list(itertools.product(*(range(1, width + 1) for width in limits.costs.coupling.widths))))
    fitting = {tuple(counts) for counts in every[limits.usage(every) <= 1].tolist()}
    full = {one for one in fitting if not any(tuple(np.add(one, more)) in fitting for more in np.eye(3, dtype=int))}
    drawn = {tuple(counts.tolist()) for counts in random_structures(space, 2000, seed=0)}
    assert drawn <= full
    assert len(drawn) > 0.6 * len(full), "they are not pulled to the few that fill the budget best"
