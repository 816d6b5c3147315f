import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mendsearch.config import Budget, DataSpec, MendSpec, PruneSpec, TrainSpec
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import DataError, ModelError
from mendsearch.mending.search import Search, build_problem
from mendsearch.models.resnet import digits_resnet
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import input_statistics
from mendsearch.training.loop import train
from mendsearch.training.sources import open_source
from mendsearch.training.splits import split
from tests.zoo import IMAGES, NETWORKS, build

LABELS = torch.randint(0, 4, (len(IMAGES),), generator=torch.Generator().manual_seed(1))


def search_of(
    name,
    *,
    labels=LABELS,
    validation=IMAGES,
    criterion="gram",
    macs=0.5,
    multiple=1,
    outputs=None,
    metric=None,
    **options,
):
    model = build(name) if isinstance(name, str) else name
    prune = PruneSpec(multiple=multiple)
    problem = build_problem(model, IMAGES, Budget(macs=macs), prune, outputs)
    statistics = input_statistics(model, problem.coupling, IMAGES, 32)
    return Search(
        problem,
        CRITERIA[criterion].rank(RankingInputs(model, problem.coupling, statistics, IMAGES, 0)),
        statistics,
        calibration=IMAGES,
        validation=validation,
        labels=labels,
        prune=prune,
        mend=MendSpec(**options),
        metric=metric,
    )


@pytest.mark.parametrize("score", ["agreement", "loss"])
@torch.no_grad()
def test_top_1_agreement_is_with_the_dense_network_or_with_the_labels(score):
    search = search_of("residual", score=score)
    built = build_pruned(search.problem.model, search.scorer.weights.of(search.uniform)).eval()
    wanted = LABELS if score == "loss" else search.problem.model(IMAGES).argmax(1)
    expected = float((built(IMAGES).argmax(1) == wanted).float().mean())
    assert search.scorer.score(search.uniform).top1_agreement == pytest.approx(expected)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_the_score_is_that_of_the_network_that_is_built(name):
    search = search_of(name, score="loss")
    for counts in (search.pre_pruned, search.space.floor, search.uniform):
        built = search.scorer.build(counts)
        assert search.scorer.refined_score(counts) == pytest.approx(
            -float(functional.cross_entropy(built(IMAGES), LABELS)), abs=1e-5
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_scoring_leaves_the_network_as_it_was(name):
    search = search_of(name)
    model = search.problem.model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = [(m, dict(m.__dict__)) for m in model.modules()]
    search.scorer.score(search.pre_pruned)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(module.__dict__ == old for module, old in attributes)


def test_the_same_candidate_gets_the_same_score_in_any_order():
    search = search_of("residual")
    first = search.scorer.score(search.pre_pruned).value
    search.scorer.score(search.space.floor)
    assert search.scorer.score(search.pre_pruned).value == first
    assert search_of("residual").scorer.score(search.pre_pruned).value == first


@functools.cache
def digits_problem(macs):
    """A ResNet-8 on real digits, with what a search of it needs."""
    spec = DataSpec(name="digits", validation=300, calibration=500)
    splits = split(open_source(spec, 0), spec, 0)
    torch.manual_seed(0)
    model = digits_resnet(width=8)
    train(model, splits.train, TrainSpec(epochs=6), seed=0)
    problem = build_problem(model, splits.calibration, Budget(macs=macs))
    statistics = input_statistics(model, problem.coupling, splits.calibration, 32)
    return problem, statistics, splits


def digits_search(macs=0.4, criterion="l1", **options):
    problem, statistics, splits = digits_problem(macs)
    return Search(
        problem,
        CRITERIA[criterion].rank(RankingInputs(problem.model, problem.coupling, statistics, splits.calibration, 0)),
        statistics,
        calibration=splits.calibration,
        validation=splits.validation[0],
        labels=splits.validation[1],
        prune=PruneSpec(),
        mend=MendSpec(**options),
    )


def test_reconstruction_brings_a_trained_network_nearer_to_what_it_was():
    """On real digits, at every uniform width from a half to nine tenths: the more of it, the nearer."""
    kinds = [digits_search(reconstruction=kind) for kind in ("sequence", "channels", "none")]
    for kept in (0.5, 0.6, 0.7, 0.8, 0.9):
        counts = np.rint(kept * kinds[0].problem.coupling.widths).astype(np.int64)
        sequence, channels, none = (search.scorer.score(counts).value for search in kinds)
        assert sequence > channels > none


def test_a_stopped_score_is_what_the_rival_and_the_images_seen_say():
    search = digits_search()
    incumbent = search.scorer.score(search.uniform)
    stopped = search.scorer.score(search.space.floor, incumbent)
    seen = len(stopped.losses)
    assert stopped.stopped
    assert seen < len(incumbent.losses)
    assert stopped.value == pytest.approx(
        incumbent.value - float((stopped.losses - incumbent.losses[:seen]).mean()), abs=1e-6
    )
    assert not search.scorer.score(search.uniform, incumbent).stopped


@torch.no_grad()
def test_batch_norms_hold_the_statistics_of_the_candidate_itself():
    search = search_of("residual")
    built = search.scorer.build(search.pre_pruned)
    seen = []
    built.bn1.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    built(IMAGES)
    torch.testing.assert_close(built.bn1.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(built.bn1.running_var, seen[0].var((0, 2, 3), correction=1), rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_without_labels_the_dense_network_is_the_yardstick():
    search = search_of("residual", labels=None)
    counts = search.pre_pruned
    wanted, found = build("residual")(IMAGES).log_softmax(1), search.scorer.build(counts)(IMAGES).log_softmax(1)
    divergence = float((wanted.exp() * (wanted - found)).sum(1).mean())
    assert search.scorer.refined_score(counts) == pytest.approx(-divergence, abs=1e-5)
    assert search.scorer.dense_score() == pytest.approx(0, abs=1e-6)


def test_a_score_by_labels_needs_labels():
    with pytest.raises(DataError, match='score "loss" needs labels'):
        search_of("residual", labels=None, score="loss")


def test_a_network_that_gives_no_tensor_is_refused():
    class Silent(nn.Sequential):
        def forward(self, x):
            super().forward(x)

    model = Silent(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 5, 1)).eval()
    with pytest.raises(ModelError, match="gives NoneType, expected a tensor, or tensors in lists"):
        build_problem(model, IMAGES, Budget(macs=0.5))


def test_a_bias_takes_up_the_mean_of_channels_that_never_change():
    """A constant channel is worth nothing but its mean; with a bias behind it, removing it costs nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(320, 4))
    with torch.no_grad():
        model[0].weight[4:] = 0
        model[0].bias[4:] = 2.0
    model.eval()
    problem = build_problem(model, IMAGES, Budget(macs=0.9), PruneSpec(exclude=("2",)))
    statistics = input_statistics(model, problem.coupling, IMAGES, 32)
    ranking = CRITERIA["gram"].rank(RankingInputs(model, problem.coupling, statistics, IMAGES, 0))
    assert set(ranking.orders[0][4:].tolist()) == {4, 5}
    search = Search(
        problem, ranking, statistics, calibration=IMAGES, validation=IMAGES, labels=LABELS,
        prune=PruneSpec(), mend=MendSpec(),
    )  # fmt: skip
    built = search.scorer.build(np.array([4]))
    torch.testing.assert_close(built(IMAGES), model(IMAGES), rtol=1e-2, atol=1e-2)
