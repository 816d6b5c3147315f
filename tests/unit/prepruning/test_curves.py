"""Error curves against what least squares really leaves, and the structures made from them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.prepruning.curves import by_curves, error_curves
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import input_statistics
from tests.zoo import IMAGES, NETWORKS, build


def curves_of(model, criterion="gram"):
    coupling = find_coupling(model, IMAGES)
    statistics = input_statistics(model, coupling, IMAGES, 32)
    ranking = CRITERIA[criterion].rank(RankingInputs(model, coupling, statistics, IMAGES, 0))
    return error_curves(model, coupling, ranking, statistics)[0], coupling, ranking, statistics


@pytest.mark.parametrize("criterion", ["gram", "l1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_curves_fall_from_all_to_nothing(name, criterion):
    curves, coupling, _, _ = curves_of(build(name), criterion)
    assert [len(curve) for curve in curves] == [group.width + 1 for group in coupling.groups]
    for curve in curves:
        assert (np.diff(curve) <= 1e-12).all()
        assert curve[-1] == pytest.approx(0, abs=1e-9)
        assert curve[0] > 0


@torch.no_grad()
def test_on_a_1x1_consumer_the_curve_is_the_error_that_least_squares_leaves():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU(), nn.Conv2d(7, 5, 1), nn.Flatten(), nn.Linear(180, 4)).eval()
    curves, _, ranking, _ = curves_of(model)
    x = model[1](model[0](IMAGES)).double().transpose(0, 1).flatten(1).T
    x = x - x.mean(0)
    wanted = x @ model[2].weight.detach().double()[:, :, 0, 0].T
    for count in range(1, 7):
        kept = x[:, torch.from_numpy(ranking.orders[0][:count])]
        left = wanted - kept @ torch.linalg.lstsq(kept, wanted).solution
        # the ridge keeps a little back
        assert curves[0][count] == pytest.approx(float(left.square().sum() / wanted.square().sum()), abs=0.01)


@given(small=st.floats(0.05, 1), large=st.floats(0.05, 1), rate=st.floats(0.15, 0.9), power=st.floats(0.5, 3))
def test_structures_of_the_curves_are_nested_and_fit(small, large, rate, power):
    limits = Limits(Budget(macs=rate), COSTS)
    low, high = (by_curves(CURVES, limits, power, scale=scale) for scale in sorted((small, large)))
    assert (low <= high).all()
    assert (low >= 1).all()
    assert limits.fits(high)


MODEL = build("residual")
CURVES, COUPLING, _, _ = curves_of(MODEL)
COSTS = build_cost_model(MODEL, COUPLING)


def test_a_structure_of_the_curves_has_less_error_than_the_uniform_one():
    limits = Limits(Budget(macs=0.4), COSTS)
    uniform = np.maximum(1, (COUPLING.widths * 0.62).astype(int))
    assert limits.fits(uniform)

    def error(counts):
        return sum(curve[count] for curve, count in zip(CURVES, counts, strict=True))

    assert error(by_curves(CURVES, limits, 1.0)) < error(uniform)
