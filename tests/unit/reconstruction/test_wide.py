"""Least squares by rows against least squares by moments, and a layer that only rows can fit."""

import copy

import pytest
import torch
from torch import nn

from mendsearch.reconstruction import regression, targets
from mendsearch.reconstruction.moments import Moments
from mendsearch.reconstruction.regression import fit
from mendsearch.reconstruction.targets import dense_targets
from mendsearch.reconstruction.wide import Rows


def drawn(rows=40, features=100, outputs=4, groups=2):
    torch.manual_seed(rows)
    return torch.randn(groups, rows, features) + 1, torch.randn(groups, rows, outputs)


@pytest.mark.parametrize("ridge", [1e-2, 0.1, 10.0])
@pytest.mark.parametrize("centred", [False, True])
def test_both_ways_are_one(ridge, centred):
    first, second, held = drawn(40), drawn(30), drawn(20)
    found = []
    for kind in (Moments, Rows):
        fitted = kind.of(*first) + kind.of(*second)
        centre = fitted if centred else None
        change = fitted.about(centre).solve(ridge)
        found.append((change.double(), kind.of(*held).about(centre).error(change), fitted.mean, fitted.lack))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shift", [True, False])
@torch.no_grad()
def test_a_layer_with_more_features_than_rows_is_changed_alike(monkeypatch, shift):
    """With a low threshold the same layer is fitted by its rows."""
    torch.manual_seed(0)
    inputs = torch.randn(48, 64)
    dense = nn.Linear(64, 5, bias=shift)
    target = dense_targets(dense, lambda: dense(inputs), len(inputs), 8).targets[""]
    noisy = copy.deepcopy(dense)
    noisy.weight.mul_(0.8)
    found = []
    for threshold in (2048, 8):
        monkeypatch.setattr(regression, "WIDE", threshold)
        layer = copy.deepcopy(noisy)
        seen = fit(layer, inputs, target, target.outputs, 36, None)
        assert isinstance(seen.fitted, Rows) == (threshold == 8)
        found.append(layer)
    torch.testing.assert_close(found[0].weight, found[1].weight, rtol=1e-3, atol=1e-4)
    assert (found[1](inputs) - dense(inputs)).square().mean() < (noisy(inputs) - dense(inputs)).square().mean()


@torch.no_grad()
def test_rows_of_a_layer_with_many_features_are_left_out_of_a_trial():
    """A convolution with kernels of 64 taps on 128 channels would need 65,536 rows, and a minute."""
    layer, inputs = nn.Conv1d(128, 4, 64), torch.randn(2, 128, 40000)
    target = dense_targets(layer, lambda: layer(inputs), 2, 8).targets[""]
    assert targets.LEAST_ROWS <= target.places.numel() < 8 * 8192
