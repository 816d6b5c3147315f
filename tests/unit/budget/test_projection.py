import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mendsearch.budget import Limits, build_cost_model
from mendsearch.budget.latency import LatencyModel
from mendsearch.budget.projection import project
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.models.resnet import ResNet
from tests.zoo import IMAGES, NETWORKS, build

COSTS = {name: build_cost_model(build(name), find_coupling(build(name), IMAGES)) for name in NETWORKS}


def problems(name):
    """A budget that can be met, a floor within it, and any proposal at all."""
    costs = COSTS[name]
    widths = costs.coupling.widths
    dense = costs.cost(widths)

    def with_floor(given):
        fraction, asked = given
        least = {m: costs.cost(np.where(widths % m == 0, m, 1))["macs"] / dense["macs"] for m in (asked, 2, 1)}
        multiple = next(
            m for m, part in least.items() if m == 1 or part < 0.9
        )  # the smallest networks have few channels
        limits = Limits(Budget(macs=max(fraction, 1.02 * least[multiple])), costs, multiple)
        floors = st.tuples(*(st.integers(1, max(1, int(width) // 3)) for width in widths)).map(np.array)
        floors = floors.map(lambda floor: np.maximum(floor // limits.steps, 1) * limits.steps)
        floors = floors.map(lambda floor: floor if limits.fits(floor) else limits.steps)
        proposals = st.tuples(*(st.integers(-3, int(width) + 3) for width in widths)).map(np.array)
        return st.tuples(st.just(limits), floors, proposals)

    return st.tuples(st.floats(0.1, 0.9), st.sampled_from([1, 2, 4])).flatmap(with_floor)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_projection_fits_is_full_and_settled(name, data):
    limits, floor, proposal = data.draw(problems(name))
    counts = project(proposal, floor, limits)
    widths = limits.costs.coupling.widths
    assert limits.fits(counts)
    assert (counts >= floor).all()
    assert (counts <= widths).all()
    assert (counts % limits.steps == 0).all()
    for index in range(len(counts)):
        more = counts.copy()
        more[index] += limits.steps[index]
        assert more[index] > widths[index] or not limits.fits(more)
    assert project(counts, floor, limits).tolist() == counts.tolist()
    assert project(proposal, floor, limits).tolist() == counts.tolist()


class Stairs(LatencyModel):
    """Time that falls where a width comes onto a multiple of 4, as on devices that pad other widths."""

    def __init__(self, widths):
        self.widths, self.dense_ms = widths, None

    def ms(self, counts):
        return 1 + (np.ceil(counts / 4) * 4 / self.widths).sum(axis=-1) + 0.3 * (counts % 4 != 0).sum(axis=-1)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), part=st.integers(55, 95))
def test_projections_of_a_latency_with_stairs_fit_and_are_idempotent(seed, part):
    rng, widths = np.random.default_rng(seed), RESNET.coupling.widths
    costs = copy.copy(RESNET)
    costs.latencies = {"latency_ms": Stairs(widths)}
    limits = Limits(Budget(latency_ms=f"{part}%", macs=0.9, profile={}), costs)
    counts = project(rng.integers(1, widths + 1), np.ones_like(widths), limits)
    assert limits.fits(counts)
    assert (counts <= widths).all()
    assert project(counts, np.ones_like(widths), limits).tolist() == counts.tolist()


@given(seed=st.integers(0, 10**6), rate=st.sampled_from([0.1, 0.2, 0.4]))
def test_a_network_of_ordinary_width_uses_its_budget_to_one_percent(seed, rate):
    limits = Limits(Budget(macs=rate), RESNET)
    widths = limits.costs.coupling.widths
    floor = np.maximum(1, widths // 6)
    counts = project(np.random.default_rng(seed).integers(1, widths + 1), floor, limits)
    assert 0.99 <= float(limits.usage(counts)) <= 1


RESNET_MODEL = ResNet(depth=8, width=16, in_channels=3)
RESNET = build_cost_model(RESNET_MODEL, find_coupling(RESNET_MODEL, IMAGES))


def test_what_is_asked_for_in_vain_is_shared_out_in_proportion():
    """Twice the restorations everywhere, and half of them, are the same proposal once the budget is full."""
    limits = Limits(Budget(macs=0.3), RESNET)
    floor = np.ones_like(limits.costs.coupling.widths)
    wanted = limits.costs.coupling.widths // 4
    small, large = project(1 + wanted, floor, limits), project(1 + 2 * wanted, floor, limits)
    assert np.abs(small - large).max() <= 2
