import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.prepruning import cut, pre_prune
from mendsearch.prepruning.curves import error_curves
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import input_statistics
from tests.zoo import IMAGES, build

MODEL = build("residual")
COUPLING = find_coupling(MODEL, IMAGES)
COSTS = build_cost_model(MODEL, COUPLING)
STATISTICS = input_statistics(MODEL, COUPLING, IMAGES, 32)
RANKING = CRITERIA["gram"].rank(RankingInputs(MODEL, COUPLING, STATISTICS, IMAGES, 0))
(CURVES,) = error_curves(MODEL, COUPLING, RANKING, STATISTICS)


@pytest.mark.parametrize("rule", ["curves", "uniform", "global"])
@given(small=st.floats(0.05, 1), large=st.floats(0.05, 1), rate=st.floats(0.1, 0.9))
def test_structures_of_a_rule_are_nested_and_fit(rule, small, large, rate):
    limits = Limits(Budget(macs=rate), COSTS)
    low, high = (cut(rule, RANKING, CURVES, limits, scale=scale) for scale in sorted((small, large)))
    assert (low <= high).all()
    assert (low >= 1).all()
    assert limits.fits(high)


def test_uniform_keeps_the_same_fraction_everywhere():
    limits = Limits(Budget(macs=0.3), COSTS)
    kept = cut("uniform", RANKING, CURVES, limits) / COUPLING.widths
    assert kept.max() - kept.min() <= 1 / COUPLING.widths.min()


def test_global_keeps_the_channels_above_one_threshold():
    limits = Limits(Budget(macs=0.3), COSTS)
    counts = cut("global", RANKING, CURVES, limits)
    kept = [scores[order[:count]] for scores, order, count in zip(RANKING.scores, RANKING.orders, counts, strict=True)]
    gone = [scores[order[count:]] for scores, order, count in zip(RANKING.scores, RANKING.orders, counts, strict=True)]
    assert min(scores.min() for scores, count in zip(kept, counts, strict=True) if count > 1) >= max(
        scores.max() for scores in gone if len(scores)
    )


@pytest.mark.parametrize("rule", ["curves", "uniform", "global"])
def test_pre_pruned_leaves_none_of_the_budget_unused(rule):
    limits = Limits(Budget(macs=0.3), COSTS)
    counts = pre_prune(rule, RANKING, CURVES, limits)
    eye = np.eye(len(counts), dtype=np.int64)
    assert limits.fits(counts)
    assert not any(limits.fits(more) for more in counts + eye if (more <= COUPLING.widths).all())
