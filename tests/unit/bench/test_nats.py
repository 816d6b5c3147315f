"""Error curves in nats: Fisher's information in closed form, and the divergence that they foretell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench.accuracy.nats import by_nats, curves_in_nats, fisher_information
from mendsearch.budget import Limits
from mendsearch.config import Budget
from mendsearch.mending.search import Problem, build_problem
from mendsearch.ranking import CRITERIA, FilterRanking, RankingInputs
from mendsearch.ranking.statistics import InputStatistics, input_statistics


def ranked(model: nn.Module, images: torch.Tensor) -> tuple[Problem, FilterRanking, dict[str, InputStatistics]]:
    problem = build_problem(model, images, Budget(macs=0.6))
    statistics = input_statistics(model, problem.coupling, images, 64)
    inputs = RankingInputs(model, problem.coupling, statistics, images, 0)
    return problem, CRITERIA["gram"].rank(inputs), statistics


def test_of_logits_fisher_information_is_known() -> None:
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(6, 4)), torch.randn(4096, 6)
    likely = model(inputs).softmax(1).detach().double()
    known = torch.diag(likely.mean(0)) - likely.T @ likely / len(likely)
    assert torch.allclose(fisher_information(model, ["0"], inputs)["0"], known, atol=0.01)


@torch.no_grad()
def test_a_curve_is_the_divergence_when_that_many_channels_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 5)).eval()
    images = torch.randn(2048, 12)
    problem, ranking, statistics = ranked(model, images)
    curve = curves_in_nats(problem, ranking, statistics, images)[0]
    assert curve[-1] == pytest.approx(0, abs=1e-6)
    wanted, read = model(images), model[1](model[0](images))
    likely = wanted.log_softmax(1)
    for kept in (6, 8, 9):
        stays = torch.cat([read[:, ranking.orders[0][:kept]], torch.ones(len(read), 1)], 1)
        given = (stays @ torch.linalg.lstsq(stays, wanted).solution).log_softmax(1)
        assert curve[kept] == pytest.approx(float((likely.exp() * (likely - given)).sum(1).mean()), rel=0.25)


def test_what_the_outputs_do_not_feel_goes_first_and_what_is_not_chosen_stays() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5)
    ).eval()
    with torch.no_grad():  # all but two outputs of the second layer are read by almost nothing
        model[4].weight[:, 2:] *= 1e-4
    images = torch.randn(512, 12)
    problem, ranking, statistics = ranked(model, images)
    limits = Limits(Budget(macs=0.7), problem.limits.costs)
    everywhere = by_nats(problem, ranking, statistics, images, limits, np.ones(3, dtype=bool))
    assert everywhere.argmin() == 1
    assert limits.usage(everywhere, 1.0) <= 1
    chosen = np.array([True, False, True])
    assert by_nats(problem, ranking, statistics, images, limits, chosen)[1] == 16
