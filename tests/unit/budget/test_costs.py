import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import BudgetError
from tests.zoo import IMAGES, NETWORKS, build

MODELS = {name: build(name) for name in NETWORKS}
COSTS = {name: build_cost_model(model, find_coupling(model, IMAGES)) for name, model in MODELS.items()}


@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data())
@torch.no_grad()
def test_costs_are_those_of_the_network_that_is_built(name, data):
    """Against PyTorch's own counter: two flops a MAC."""
    costs = COSTS[name]
    counts = np.array([data.draw(st.integers(1, int(width))) for width in costs.coupling.widths])
    slicer = Slicer(MODELS[name], costs.coupling, [np.arange(width) for width in costs.coupling.widths])
    built = build_pruned(MODELS[name], slicer.slice(counts))
    with FlopCounterMode(display=False) as counter:
        built(IMAGES[:1])
    assert costs.cost(counts) == {
        "macs": counter.get_total_flops() // 2,
        "params": sum(parameter.numel() for parameter in built.parameters()),
    }


def test_costs_of_many_candidates_are_those_of_each():
    costs = COSTS["residual"]
    many = np.random.default_rng(0).integers(1, costs.coupling.widths + 1, (7, len(costs.coupling.widths)))
    together = costs.costs(many)
    for index, counts in enumerate(many):
        assert {key: round(values[index]) for key, values in together.items()} == costs.cost(counts)


def limits(**budget):
    return Limits(Budget(**budget), COSTS["residual"])


def test_fractions_and_absolute_numbers_mean_the_same():
    dense = COSTS["residual"].cost(COSTS["residual"].coupling.widths)
    assert limits(macs=0.5).absolute["macs"] == pytest.approx(dense["macs"] / 2)
    assert limits(params=dense["params"] // 2).absolute["params"] == dense["params"] // 2


def test_every_limit_holds():
    both = limits(macs=0.5, params=0.2)
    widths = COSTS["residual"].coupling.widths
    half = np.maximum(1, widths // 2)
    assert both.usage(half) == max(limits(macs=0.5).usage(half), limits(params=0.2).usage(half))


def test_a_budget_below_the_least_says_what_the_least_is():
    least = COSTS["residual"].cost(np.ones_like(COSTS["residual"].coupling.widths))["macs"]
    with pytest.raises(BudgetError, match=rf"macs=0\.001 cannot be met: .* still costs {least:,}"):
        limits(macs=0.001)


def test_a_budget_above_the_dense_cost_is_refused():
    with pytest.raises(BudgetError, match="above the dense network's"):
        limits(macs=10**12)


def test_a_budget_that_the_dense_network_meets_is_refused():
    with pytest.raises(BudgetError, match="already meets the budget"):
        limits(macs=1)


def test_steps_are_multiples_where_the_dense_width_is_one():
    costs = COSTS["residual"]
    assert set(Limits(Budget(macs=0.5), costs).steps) == {1}
    limits = Limits(Budget(macs=0.9), costs, 8)
    assert limits.steps.tolist() == [8 if width % 8 == 0 else 1 for width in costs.coupling.widths]
    with pytest.raises(BudgetError, match=r"16 channels in every coupling group .*lower the multiple"):
        Limits(Budget(macs=0.01), costs, 16)


def test_size_bytes_are_those_of_the_weights():
    costs = COSTS["residual"]
    found = costs.costs(costs.coupling.widths, ("size_bytes",))
    assert found["size_bytes"] == sum(parameter.nbytes for parameter in MODELS["residual"].parameters())


class Branch(torch.nn.Module):
    """Holds the inputs (4x8x8) and the output of `first` while `second` reads and writes."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(4, 16, 1), torch.nn.Conv2d(16, 16, 1)
        self.last = torch.nn.Conv2d(16, 2, 1)

    def forward(self, images):
        waits = self.first(images)
        return self.last(waits + self.second(waits))


def test_activation_bytes_are_those_of_all_that_is_held_at_once():
    costs = build_cost_model(model := Branch(), find_coupling(model, torch.randn(2, 4, 8, 8)))
    images, map_bytes = 4 * 4 * 64, 4 * 64
    for count in (16, 5):
        found = costs.costs(np.array([count]), ("activation_bytes",))["activation_bytes"]
        assert found == images + 3 * count * map_bytes, "what waits, what the second puts out, and their sum"
