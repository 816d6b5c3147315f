import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Consumer, Layout
from mendsearch.errors import ModelError
from mendsearch.ranking.statistics import InputStatistics
from mendsearch.reconstruction.channels import prepare
from tests.zoo import IMAGES, build


def statistics_of(x):
    """Of inputs (N, C) float64."""
    return InputStatistics(x.mean(0), torch.cov(x.T, correction=0))


def consumer(channels, *, absorbs_shift=True):
    layout = Layout(np.zeros(channels, dtype=np.int64), np.arange(channels))
    return Consumer("layer", layout, 1, absorbs_shift)


def correlated(seed, samples=200, channels=8):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    return torch.randn(samples, channels, generator=generator, dtype=torch.float64) @ mixing + 1.5


def kept(order, count):
    return torch.from_numpy(np.sort(order[:count]))


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8), kernel=st.sampled_from([1, 3]), centred=st.booleans())
def test_leading_block_equals_direct_solve(seed, count, kernel, centred):
    x, order = correlated(seed), np.random.default_rng(seed).permutation(8)
    weight = torch.randn(5, 8, kernel, kernel, generator=torch.Generator().manual_seed(seed))
    prepared = prepare(consumer(8, absorbs_shift=centred), weight, statistics_of(x), [order])
    direct = prepare(consumer(8, absorbs_shift=centred), weight, statistics_of(x), [order])
    object.__setattr__(direct, "factor", None)
    rows = torch.tensor([0, 2, 3])
    for found, expected in zip(
        prepared.rebuild(kept(order, count), rows), direct.rebuild(kept(order, count), rows), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8), centred=st.booleans(), linear=st.booleans())
def test_on_a_1x1_or_linear_consumer_it_never_raises_the_calibration_error(seed, count, centred, linear):
    x, order = correlated(seed), np.random.default_rng(seed).permutation(8)
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    prepared = prepare(
        consumer(8, absorbs_shift=centred),
        weight if linear else weight[:, :, None, None],
        statistics_of(x),
        [order],
        ridge=1e-6,
    )
    stays = kept(order, count)
    rebuilt, shift = prepared.rebuild(stays, None)
    wanted = x @ weight.double().T
    sliced = x[:, stays] @ weight[:, stays].double().T
    mended = x[:, stays] @ rebuilt[:, 0].double().T + (shift.double() if centred else 0)
    before, after = (wanted - sliced).square().mean(), (wanted - mended).square().mean()
    assert after <= before * (1 + 1e-4) + 1e-6


def test_a_channel_that_is_the_sum_of_two_others_is_made_up_for_exactly():
    x = correlated(0)
    x[:, 7] = 2 * x[:, 0] - x[:, 1] + 3
    weight = torch.randn(5, 8, 1, 1)
    prepared = prepare(consumer(8), weight, statistics_of(x), [np.arange(8)], ridge=1e-9)
    rebuilt, shift = prepared.rebuild(torch.arange(7), None)
    mended = x[:, :7] @ rebuilt[:, 0].double().T + shift.double()
    torch.testing.assert_close(mended, x @ weight[:, :, 0, 0].double().T, rtol=1e-3, atol=1e-3)


def test_inputs_that_repeat_or_never_change_still_have_a_factor():
    x = correlated(0)
    x[:, 3:] = x[:, :1]
    x[:, 2] = 7.0
    statistics = statistics_of(x)
    statistics.covariance[0, 0] *= 1 - 1e-2  # worse than rounding: no longer positive
    prepared = prepare(consumer(8), torch.randn(5, 8, 1, 1), statistics, [np.arange(8)])
    assert all(torch.isfinite(part).all() for part in prepared.rebuild(torch.arange(2), None))
    constant = prepare(consumer(8), torch.randn(5, 8, 1, 1), statistics_of(torch.ones_like(x)), [np.arange(8)])
    assert all(torch.isfinite(part).all() for part in constant.rebuild(torch.arange(2), None))


def test_inputs_that_are_not_finite_are_refused():
    x = correlated(0)
    x[0, 0] = torch.inf
    with pytest.raises(ModelError, match="inputs of `layer` are not finite"):
        prepare(consumer(8), torch.randn(5, 8, 1, 1), statistics_of(x), [np.arange(8)])


def test_all_inputs_kept_leaves_the_weights_as_they_are():
    weight = torch.randn(5, 8, 3, 3)
    prepared = prepare(consumer(8), weight, statistics_of(correlated(1)), [np.random.default_rng(0).permutation(8)])
    rebuilt, shift = prepared.rebuild(torch.arange(8), None)
    torch.testing.assert_close(rebuilt.movedim(1, 2).reshape(weight.shape), weight)
    torch.testing.assert_close(shift, torch.zeros(5), atol=1e-5, rtol=0)


def test_concatenated_inputs_are_rebuilt_by_the_same_least_squares():
    """The kept set of two coupling groups is no prefix; the answer is that of least squares all the same."""
    x = correlated(3)
    layout = Layout(np.array([0] * 4 + [1] * 4), np.array([0, 1, 2, 3] * 2))
    both = Consumer("layer", layout, 1, absorbs_shift=True)
    weight = torch.randn(5, 8, 1, 1)
    prepared = prepare(both, weight, statistics_of(x), [np.arange(4), np.array([3, 2, 1, 0])], ridge=1e-9)
    assert prepared.factor is None
    stays = torch.tensor([0, 1, 7])
    rebuilt, _ = prepared.rebuild(stays, None)
    centred = x - x.mean(0)
    expected = torch.linalg.lstsq(centred[:, stays], centred @ weight[:, :, 0, 0].double().T).solution.T
    torch.testing.assert_close(rebuilt[:, 0].double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["residual", "concatenated", "flattened"])
def test_consumers_of_the_zoo_can_be_prepared(name):
    model = build(name)
    coupling = find_coupling(model, IMAGES)
    assert [found.layer for found in coupling.consumers] == [
        layer
        for layer, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        and any(dim == 1 for dim, _ in coupling.axes.get(f"{layer}.weight", ()))
    ]
