"""The same search on a CUDA device; nothing here runs where there is none."""

import copy

import pytest
import torch

from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA
from tests.zoo import IMAGES, NETWORKS, build

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def search_on(device, name, criterion="gram", kind="sequence"):
    model = copy.deepcopy(build(name)).to(device)
    problem = build_problem(model, IMAGES, Budget(macs=0.5))
    ranking, statistics = rank_channels(problem, IMAGES, criterion, 0, Reporter(quiet=True))
    return Search(
        problem, ranking, statistics, calibration=IMAGES, validation=IMAGES, labels=None,
        prune=PruneSpec(), mend=MendSpec(reconstruction=kind),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def exact():
    """TensorFloat-32 is off, so that the devices can be held against each other."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_candidate_scores_on_the_gpu_as_on_the_cpu(name, kind):
    there, here = search_on("cuda", name, kind=kind), search_on("cpu", name, kind=kind)
    for counts in (here.uniform, here.space.floor):
        assert there.scorer.score(counts).value == pytest.approx(here.scorer.score(counts).value, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_ranks_there(criterion):
    there, here = search_on("cuda", "residual", criterion), search_on("cpu", "residual", criterion)
    for left, right in zip(there.ranking.scores, here.ranking.scores, strict=True):
        torch.testing.assert_close(torch.from_numpy(left), torch.from_numpy(right), rtol=1e-2, atol=1e-3)


def test_the_same_candidate_gets_the_same_score_whatever_came_before():
    search = search_on("cuda", "residual")
    first = search.scorer.score(search.uniform).value
    search.scorer.score(search.space.floor)
    assert search.scorer.score(search.uniform).value == first


def test_the_network_that_is_built_stays_on_its_device():
    search = search_on("cuda", "residual")
    assert all(parameter.is_cuda for parameter in search.scorer.build(search.uniform).parameters())
