"""The short form of `python -m bench.accuracy.support`: networks of torchvision, by the same measure."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from bench.accuracy.support import apart
from bench.accuracy.support_law import distance, silenced, tensors
from bench.accuracy.support_measures import measure
from bench.accuracy.support_networks import Network, torchvision_networks
from bench.accuracy.support_page import page, pruned
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.slicing import Slicer

SHARES = {
    "squeezenet1_1": 0.74, "resnet18": 0.82, "mobilenet_v3_small": 0.90, "shufflenet_v2_x0_5": 0.69, "densenet121": 0.91,
    "lraspp_mobilenet_v3_large": 0.99, "ssdlite320_mobilenet_v3_large": 0.85, "r3d_18": 0.92,
}  # fmt: skip
"""Least share of the output channels that can be pruned, by network."""
NETWORKS = {network.name: network for network in torchvision_networks()}


@pytest.mark.parametrize("name", SHARES)
def test_a_public_network_is_pruned_by_the_law_with_the_macs_that_pytorch_counts(name):
    row = measure(NETWORKS[name])
    assert pruned(row), row
    assert row["share"] >= SHARES[name]
    assert row["divergence"] > 0
    assert "unscored" not in row
    assert row["pt2"] < 1e-4
    assert ("fixed" in row) == (name == "ssdlite320_mobilenet_v3_large")  # it loops over its images
    text = page({NETWORKS[name].title: row})
    assert f"| {name} |" in text
    assert "| all | 1 | 1 | 0 |" in text
    assert f"| {row['seconds']:.0f} s | 1 | 1 | 0 | 0 |" in text


@torch.no_grad()
def test_the_measure_sees_a_slice_in_the_wrong_place():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    inputs = (torch.randn(2, 3, 8, 8),)
    coupling = find_coupling(model, inputs)
    slicer = Slicer(model, coupling, [np.arange(8)])
    kept = slicer.kept(np.array([5]))
    state = slicer.take(kept)
    whole = silenced(model, coupling, kept, slicer.dense, inputs)
    with slicer.sized(state):
        assert distance(tensors(slicer.forward(state, inputs)), whole) < 1e-5
        state["3.weight"] = state["3.weight"].flip(1)
        assert distance(tensors(slicer.forward(state, inputs)), whole) > 1e-2


def test_a_wrong_network_a_refused_one_and_a_slow_one_stand_on_the_page():
    def slow(_network):
        while time.process_time() > 0:
            pass

    row = {"inputs": [3, 8, 8], "seconds": 1.0, "groups": 1, "share": 0.5, "macs": 10, "macs_counted": 10, "macs_least": 1,
           "macs_pruned": 5, "macs_pruned_counted": 5, "built_error": 0.0, "silenced_error": 0.2, "whole": {}}  # fmt: skip
    network = Network("torchvision", "slow", nn.Identity, ((3, 8, 8),))
    rows = {
        "a/wrong": row | {"law": False},
        "a/other macs": row | {"law": True, "macs_counted": 11},
        "a/refused": {"error": "refused: it has no parameters", "seconds": 0.1},
        "a/slow": apart(slow, network, 1),
    }
    text = page(rows)
    assert "| a | 4 | 0 | 4 |" in text
    assert "**wrong** 2e-01" in text
    assert "10 ours, 11 theirs" in text
    assert "refused: it has no parameters" in text
    assert "took more than" in text  # processor seconds, or where the machine is busy, those on the clock
