"""Reconstruction in sequence on real networks of the zoo and on hand-made ones."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mendsearch.reconstruction.patches import outputs_at, patches_at, sample_places
from mendsearch.reconstruction.sequence import Fit
from mendsearch.reconstruction.targets import Target, affordable, dense_targets, sizes_of
from tests.unit.mending.test_scoring import digits_search, search_of
from tests.zoo import IMAGES, NETWORKS, build


def reference(model, images, rows=8):
    """What the dense network does with the images."""
    return dense_targets(model, lambda: model(images), len(images), rows)


@given(
    kernel=st.sampled_from([1, 2, 3]), stride=st.integers(1, 2), padding=st.integers(0, 1), dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]), seed=st.integers(0, 1000),
)  # fmt: skip
@torch.no_grad()
def test_patches_times_weight_are_the_outputs(kernel, stride, padding, dilation, groups, seed):
    torch.manual_seed(seed)
    module = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias=False)
    inputs = torch.randn(5, 4, 9, 8)
    outputs = module(inputs)
    places = sample_places(module, outputs, 6, torch.Generator().manual_seed(seed))
    patches = patches_at(module, inputs, places)
    weight = module.weight.view(groups, 8 // groups, -1)
    found = torch.einsum("mgd,god->mgo", patches, weight).flatten(1)
    torch.testing.assert_close(found, outputs_at(module, outputs, places), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_patches_of_a_linear_layer_and_of_reflected_padding():
    inputs = torch.randn(3, 5, 7)
    linear, mirrored = nn.Linear(7, 2, bias=False), nn.Conv2d(7, 2, 3, padding="same", padding_mode="reflect")
    places = sample_places(linear, linear(inputs), 4, torch.Generator().manual_seed(0))
    found = patches_at(linear, inputs, places)[:, 0] @ linear.weight.T
    torch.testing.assert_close(found, outputs_at(linear, linear(inputs), places))
    square = torch.randn(3, 7, 6, 6)
    places = sample_places(mirrored, mirrored(square), 9, torch.Generator().manual_seed(0))
    found = patches_at(mirrored, square, places)[:, 0] @ mirrored.weight.flatten(1).T + mirrored.bias
    torch.testing.assert_close(found, outputs_at(mirrored, mirrored(square), places), rtol=1e-4, atol=1e-5)


def test_places_are_different_positions_and_the_seed_fixes_them():
    module, outputs = nn.Conv2d(1, 1, 1), torch.zeros(50, 1, 6, 6)
    first, again = (sample_places(module, outputs, 10, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert all(len(set(row.tolist())) == 10 for row in first)
    assert sample_places(module, outputs, 99, torch.Generator()).tolist() == [list(range(36))] * 50


@pytest.mark.parametrize("changed", [None, 0, 3])
def test_inputs_are_untouched_where_every_item_is(changed):
    inputs = torch.randn(8, 4, 5, 5)
    seen = Target(torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 3), sizes_of(inputs), True)
    if changed is not None:
        inputs[changed] *= 1.01
    assert seen.untouched(inputs) is (changed is None)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_nothing_removed_leaves_the_network_as_it_is(name):
    search = search_of(name)
    whole = search.scorer.build(search.problem.coupling.widths)
    torch.testing.assert_close(whole(IMAGES), search.problem.model(IMAGES))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_network_comes_nearer_to_the_dense_one(name):
    search = search_of(name, macs=0.5)
    plain = search_of(name, macs=0.5, reconstruction="none")
    assert search.scorer.score(search.uniform).value > plain.scorer.score(search.uniform).value


@given(seed=st.integers(0, 10**6), kept=st.integers(1, 7), kernel=st.sampled_from([1, 3]))
@torch.no_grad()
def test_a_fitted_layer_never_has_more_error_than_before(seed, kept, kernel):
    """One consumer behind a slice: least squares over patches, on the positions that it was fitted to."""
    torch.manual_seed(seed)
    dense = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 5, kernel, padding=kernel // 2)).eval()
    images = torch.randn(16, 3, 6, 6)
    found = reference(dense, images, 10**6)
    sliced = nn.Sequential(nn.Conv2d(3, kept, 1), nn.ReLU(), nn.Conv2d(kept, 5, kernel, padding=kernel // 2)).eval()
    for part, mine in zip((dense[0].weight, dense[0].bias), (sliced[0].weight, sliced[0].bias), strict=True):
        mine.copy_(part[:kept])
    sliced[2].weight.copy_(dense[2].weight[:, :kept])
    sliced[2].bias.copy_(dense[2].bias)
    before = functional.mse_loss(sliced(images), dense(images))
    Fit({"0": torch.arange(kept)}).run(sliced, lambda: sliced(images), found, 12)
    after = functional.mse_loss(sliced(images), dense(images))
    assert after <= before * (1 + 1e-4) + 1e-8


class Block(nn.Module):
    """A residual sum whose shortcut loses half its channels' worth by a bad convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(4, 6, 1)
        self.branch = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        y = self.norm(self.branch(x))
        y += self.shortcut.bias.view(1, -1, 1, 1) * x.sum(1, keepdim=True)
        return y


@torch.no_grad()
def test_a_branch_makes_up_for_what_the_other_one_lacks():
    """The other branch is a function of the same inputs, and is gone: the convolution takes it over."""
    torch.manual_seed(0)
    images = torch.randn(64, 4, 8, 8)
    dense = Block().train()
    for _ in range(30):
        dense(images)
    dense.eval()
    found = reference(dense, images, 10**6)
    assert found.targets["branch"].other is not None
    broken = Block().eval()
    broken.load_state_dict(dense.state_dict())
    broken.shortcut.bias.zero_()
    Fit({}).run(broken, lambda: broken(images), found, 48)
    lost = functional.mse_loss(dense(images) - dense.norm(dense.branch(images)), torch.zeros(64, 6, 8, 8))
    # what is left is the scale, which the batch norm holds at what it was
    assert functional.mse_loss(broken(images), dense(images)) < 0.25 * lost


def test_a_layer_that_runs_twice_is_left_as_it_is():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.once, self.twice = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.twice(self.twice(self.once(x)))

    assert set(reference(Twice().eval(), IMAGES).targets) == {"once"}


def test_a_subclass_with_a_forward_pass_of_its_own_is_left_as_it_is():
    class Padded(nn.Conv2d):
        def forward(self, x):
            return super().forward(functional.pad(x, (0, 1, 0, 1)))

    class Named(nn.Conv2d):
        pass

    assert set(reference(nn.Sequential(Padded(3, 4, 3), Named(4, 4, 1)).eval(), IMAGES).targets) == {"1"}


def test_images_that_memory_does_not_hold_at_once_are_taken_in_several_passes(monkeypatch):
    """Nearly as good as in one pass, and better than the images of one of them alone."""
    search = digits_search()
    counts = search.uniform
    whole = search.scorer.refined_score(counts)
    monkeypatch.setattr("mendsearch.mending.weights.affordable", lambda *_: 125)
    several, few = digits_search(), digits_search()
    assert len(several.scorer.weights._whole) == 4
    few.scorer.weights._whole = few.scorer.weights._whole[:1]
    assert several.scorer.refined_score(counts) == pytest.approx(whole, rel=0.15)
    assert several.scorer.refined_score(counts) > few.scorer.refined_score(counts)
    monkeypatch.setattr("mendsearch.mending.weights.affordable", lambda *_: 13)
    many = search_of("residual")
    assert len(many.scorer.weights._whole) == 5
    with torch.no_grad():
        found, wanted = many.scorer.build(many.problem.coupling.widths)(IMAGES), many.problem.model(IMAGES)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_pass_takes_the_images_that_memory_allows(monkeypatch):
    model = build("residual")
    all_of_them = affordable(model, IMAGES)
    monkeypatch.setattr("mendsearch.reconstruction.targets.PASS_BYTES", 10**6)
    assert affordable(model, IMAGES) < all_of_them / 100


def test_hooks_and_modes_are_gone_afterwards_even_where_a_forward_fails():
    model = build("residual")
    found = reference(model, IMAGES)
    with pytest.raises(ZeroDivisionError):
        Fit({}).run(model, lambda: model(IMAGES) * 1 / 0 if 1 // 0 else None, found, 24)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(module.training for module in model.modules())


def test_refined_weights_score_better_than_those_of_a_trial_on_new_images():
    search = digits_search()
    gains = []
    for counts in search.starts[:3]:
        quick = search.scorer._evaluate(search.scorer.weights.of(counts), 10**9).value
        gains.append(search.scorer.refined_score(counts) - quick)
    assert np.mean(gains) > 0


@torch.no_grad()
def test_a_classifier_with_more_features_than_images_does_not_overfit():
    """Its ridge is chosen by images held out; with the small ridge of other layers new images come out far worse."""
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Flatten(), nn.Linear(192, 300), nn.ReLU(), nn.Linear(300, 4)).eval()
    sliced = nn.Sequential(nn.Flatten(), nn.Linear(192, 200), nn.ReLU(), nn.Linear(200, 4)).eval()
    sliced[1].weight.copy_(dense[1].weight[:200])
    sliced[1].bias.copy_(dense[1].bias[:200])
    sliced[3].weight.copy_(dense[3].weight[:, :200])
    sliced[3].bias.copy_(dense[3].bias)
    new = torch.randn(500, 3, 8, 8)
    before = functional.mse_loss(sliced(new), dense(new))
    Fit({"1": torch.arange(200)}).run(sliced, lambda: sliced(IMAGES), reference(dense, IMAGES), 48)
    assert functional.mse_loss(sliced(new), dense(new)) < before


class Rows(nn.Module):
    """Layers that see several rows of each item, rows first, or as many as the values say."""

    def __init__(self):
        super().__init__()
        self.flat, self.first, self.chosen = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 4)

    def forward(self, x):
        items, steps, _ = x.shape
        x = self.flat(x.flatten(0, 1)).relu().view(items, steps, 5)
        x = self.first(x.transpose(0, 1)).relu()
        rows = self.chosen(x[x.sum(2) > x.sum(2).median()]).relu()
        return x.mean(0)[:, :4] + rows.mean(0)


@torch.no_grad()
def test_layers_whose_rows_are_not_the_items_are_fitted_or_left_as_they_are():
    torch.manual_seed(0)
    model, x = Rows().eval(), torch.randn(41, 7, 6)
    dense = reference(model, x)
    assert set(dense.targets) == {"flat", "first"}  # `chosen` reads as many rows as the values say
    assert len(dense.targets["flat"].places) == 41 * 7
    other = copy.deepcopy(model)
    other.flat.weight *= 1.001  # what has read nothing new is not fitted
    other.first.weight += 0.1 * torch.randn(5, 5)
    before = copy.deepcopy(other)
    Fit({}).run(other, lambda: other(x), dense, 30)
    probe = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    wanted = model.first(probe)
    assert torch.dist(other.first(probe), wanted) < 0.1 * torch.dist(before.first(probe), wanted)
    assert torch.equal(other.chosen.weight, before.chosen.weight)
