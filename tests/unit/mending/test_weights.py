"""From how many images a trial reconstructs, on a trained network with late maps of 1x1."""

import functools

import pytest
import torch
from scipy.stats import kendalltau
from torch import nn

from mendsearch.batches import Batch
from mendsearch.config import Budget, DataSpec, MendSpec, PruneSpec, TrainSpec
from mendsearch.mending.random import random_structures
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.progress import Reporter
from mendsearch.training.loop import train
from mendsearch.training.sources import open_source
from mendsearch.training.splits import gather, split
from tests.cases.shared_networks import OneDtype


def small_vgg():
    """Pooled from 8x8 to 1x1 pixels before the last three convolutions of 64 channels."""
    layers, channels = [], 1
    for width, pooled in ((16, True), (32, True), (64, True), (64, False), (64, False), (64, False)):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pooled else []
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, 10))


@functools.cache
def searched():
    """A search over the network at 30% of the MACs, with 1,000 calibration images; and images that nothing has seen."""
    spec = DataSpec(name="digits", calibration=1000)
    splits = split(open_source(spec, 0), spec, 0)
    torch.manual_seed(0)
    model = small_vgg()
    train(model, splits.train, TrainSpec(epochs=8), seed=0)
    problem = build_problem(model, splits.calibration, Budget(macs=0.3))
    ranking, statistics = rank_channels(problem, splits.calibration, "gram", 0, Reporter(quiet=True))
    search = Search(
        problem, ranking, statistics, calibration=splits.calibration, validation=splits.validation[0], labels=None,
        prune=PruneSpec(), mend=MendSpec(),
    )  # fmt: skip
    unseen = Batch.cat([gather(splits.test, list(range(450)))[0], splits.validation[0]])
    return search, Scorer(search.scorer.weights, unseen, None)


def test_no_structure_is_the_better_for_fewer_rows_of_its_regressions():
    """A trial orders 20 structures as refining them from all images does; from 256 images, tau is below 0.8."""
    search, scorer = searched()
    structures = random_structures(search.space, 20, seed=0)
    refined = [scorer.refined_score(counts) for counts in structures]
    trial = [scorer._evaluate(search.scorer.weights.of(counts), 10**9).value for counts in structures]
    assert kendalltau(trial, refined).statistic > 0.85


def test_a_trial_takes_as_many_images_as_the_smallest_maps_need(monkeypatch):
    monkeypatch.setattr("mendsearch.mending.weights.TRIAL_IMAGES", 256)
    weights = searched()[0].scorer.weights
    monkeypatch.delitem(weights.__dict__, "trial_items", raising=False)
    assert weights.trial_items == 512  # 8 rows for each of 64 features: the other taps read padding


@pytest.mark.parametrize(("allowed", "taken"), [(300, 300), (10**6, 512)])
def test_and_no_more_than_memory_allows(monkeypatch, allowed, taken):
    monkeypatch.setattr("mendsearch.mending.weights.TRIAL_IMAGES", 256)
    search, _ = searched()
    weights = search.scorer.weights
    monkeypatch.delitem(weights.__dict__, "trial_items", raising=False)
    monkeypatch.setattr(weights, "affordable", allowed)
    assert weights.trial_items == taken
    del weights.__dict__["trial_items"]


@pytest.mark.parametrize("kind", ["sequence", "channels"])
def test_where_operators_take_one_dtype_only_trials_are_in_the_networks_own(monkeypatch, kind):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    torch.manual_seed(0)
    model, images = OneDtype().eval(), torch.randn(32, 3, 32, 32)
    problem = build_problem(model, images, Budget(macs=0.5))
    ranking, statistics = rank_channels(problem, images, "gram", 0, Reporter(quiet=True))
    search = Search(
        problem, ranking, statistics, calibration=images, validation=images, labels=None,
        prune=PruneSpec(), mend=MendSpec(reconstruction=kind),
    )  # fmt: skip
    scored = search.scorer.score(search.uniform)
    assert -1 < scored.value <= 0
