import numpy as np
import pytest
import torch
from torch import nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.gram import _greedy
from mendsearch.ranking.statistics import input_statistics
from tests.zoo import IMAGES, NETWORKS, build


def inputs_of(model, seed=0, images=IMAGES):
    coupling = find_coupling(model, images)
    return RankingInputs(model, coupling, input_statistics(model, coupling, images, 32), images, seed)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_criterion_gives_one_finite_score_a_channel(criterion, name):
    inputs = inputs_of(build(name))
    ranking = CRITERIA[criterion].rank(inputs)
    assert [scores.shape for scores in ranking.scores] == [(group.width,) for group in inputs.coupling.groups]
    assert all(scores.dtype == np.float32 and np.isfinite(scores).all() for scores in ranking.scores)
    for order, scores in zip(ranking.orders, ranking.scores, strict=True):
        assert sorted(order.tolist()) == list(range(len(scores)))
        assert (np.diff(scores[order]) <= 0).all()


def test_l1_sums_the_magnitudes_of_every_layer_of_the_group():
    model = build("residual")
    inputs = inputs_of(model)
    first = sum(
        model.get_submodule(layer).weight.detach().abs().sum((1, 2, 3)) for layer in ("conv1", "layer1.0.conv2")
    )
    np.testing.assert_allclose(CRITERIA["l1"].rank(inputs).scores[0], (first / first.mean()).numpy(), rtol=1e-5)


def test_random_is_drawn_by_the_seed():
    model = build("residual")
    first, again, other = (CRITERIA["random"].rank(inputs_of(model, seed)).scores[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


class Chain(nn.Module):
    """A 1x1 convolution whose channels 2 and 3 repeat channel 0, read by another 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Conv2d(4, 6, 1)
        self.fc = nn.Linear(6, 2)
        with torch.no_grad():
            self.first.weight[2:] = self.first.weight[0]
            self.first.bias[2:] = self.first.bias[0]
            self.second.weight[:, 3] *= 5

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))


def test_gram_takes_channels_that_others_can_stand_in_for_last():
    ranking = CRITERIA["gram"].rank(inputs_of(Chain().eval()))
    order, scores = ranking.orders[0], ranking.scores[0]
    assert {0, 2, 3} - set(order[:2].tolist()) == set(
        order[2:].tolist()
    )  # one of the copies, and channel 1, come first
    assert 1 in order[:2]
    assert scores[order[0]] == pytest.approx(1)
    assert scores[order[2:]].max() < 1e-4


def greedy_by_hand(gram, weights):
    """The definition: after each pick, the error that least squares leaves."""
    left, order = list(range(len(gram))), []
    while left:
        errors = []
        for channel in left:
            kept = [*order, channel]
            rest = gram - gram[:, kept] @ np.linalg.solve(gram[np.ix_(kept, kept)], gram[kept])
            errors.append(np.trace(weights @ rest))
        order.append(left.pop(int(np.argmin(errors))))
    return order


def test_gram_order_is_greedy_selection_by_the_definition():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU(), nn.Conv2d(7, 5, 3), nn.Flatten(), nn.Linear(80, 4)).eval()
    inputs = inputs_of(model)
    weight = model[2].weight.detach().double().flatten(2)
    weights = torch.einsum("ock,odk->cd", weight, weight).numpy()
    gram = (
        inputs.statistics["2"].gram(centred=True).numpy()
        + 1e-6 * np.eye(7) * inputs.statistics["2"].gram(centred=True).diagonal().mean().item()
    )
    assert CRITERIA["gram"].rank(inputs).orders[0].tolist() == greedy_by_hand(gram, weights)


def test_a_wide_group_is_ranked_in_blocks_nearly_as_well_as_one_by_one(monkeypatch):
    """What the first half of the order leaves over, by the definition."""
    torch.manual_seed(0)
    mixing = torch.randn(48, 48, dtype=torch.float64) / 7
    samples = torch.randn(4000, 48, dtype=torch.float64) @ mixing
    weight = torch.randn(20, 48, dtype=torch.float64)
    gram, weights = samples.T @ samples / 4000, weight.T @ weight

    def left(order):
        kept = order[:24]
        rest = gram - gram[:, kept] @ torch.linalg.solve(gram[kept][:, kept], gram[kept])
        return float((weights * rest).sum())

    single = np.argsort(-_greedy([(gram, weights)], 48), kind="stable")
    monkeypatch.setattr("mendsearch.ranking.gram.BLOCKS", 8)
    blocks = np.argsort(-_greedy([(gram, weights)], 48), kind="stable")
    anyhow = np.random.default_rng(0).permutation(48)
    assert left(torch.from_numpy(blocks)) < left(torch.from_numpy(single)) * 1.1
    assert left(torch.from_numpy(blocks)) < 0.7 * left(torch.from_numpy(anyhow))


def test_taylor_is_the_product_of_filter_and_gradient():
    model = build("residual")
    found = CRITERIA["taylor"].rank(inputs_of(model, images=IMAGES[:32])).scores[1]
    outputs = model(IMAGES[:32])
    torch.nn.functional.cross_entropy(outputs, outputs.argmax(1)).backward()
    weight = model.layer1[0].conv1.weight
    worth = (weight * weight.grad).flatten(1).sum(1).square().detach()
    np.testing.assert_allclose(found, (worth / worth.mean()).numpy(), rtol=1e-3, atol=1e-5)
    assert not any(parameter.grad is not None for parameter in build("residual").parameters())


def test_bn_scale_sums_the_norms_of_the_group():
    model = build("residual")
    found = CRITERIA["bn_scale"].rank(inputs_of(model)).scores[0]
    worth = (model.bn1.weight.abs() + model.layer1[0].bn2.weight.abs()).detach()
    np.testing.assert_allclose(found, (worth / worth.mean()).numpy(), rtol=1e-5)


def test_fpgm_prefers_filters_far_from_the_others():
    found = CRITERIA["fpgm"].rank(inputs_of(Chain().eval())).scores[0]
    assert found[1] == found.max()  # channels 0, 2 and 3 are copies of one another
