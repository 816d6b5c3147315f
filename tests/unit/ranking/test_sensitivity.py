"""Sensitivities in closed form, and the divergence that error curves made from them foretell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.budget import Limits
from mendsearch.config import Budget
from mendsearch.errors import ModelError
from mendsearch.mending.search import build_problem, rank_channels
from mendsearch.outputs import LOGITS, comparison_of
from mendsearch.prepruning import by_curves, error_curves
from mendsearch.progress import Reporter
from mendsearch.ranking.sensitivity import sensitivities

QUIET = Reporter(quiet=True)


def felt(model: nn.Module, layer: str, inputs: Tensor) -> Tensor:
    return sensitivities(model, [layer], Batch.of(inputs), comparison_of(model, inputs), 64)[layer]


def test_of_logits_it_is_known() -> None:
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(6, 4)), torch.randn(4096, 6)
    likely = model(inputs).softmax(1).detach().double()
    fisher, weight = torch.diag(likely.mean(0)) - likely.T @ likely / len(likely), model[0].weight.detach().double()
    found = sensitivities(model, ["0"], Batch.of(inputs), LOGITS, 64)["0"]
    assert torch.allclose(found, weight.T @ fisher @ weight, atol=0.01)


def test_the_taps_of_a_kernel_add_up() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(5, 7, 3), nn.Flatten(), nn.Linear(7, 4))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(45, 7), nn.Linear(7, 4))
    flat[1].load_state_dict({"weight": wide[0].weight.flatten(1), "bias": wide[0].bias})
    flat[2].load_state_dict(wide[2].state_dict())
    inputs = torch.randn(256, 5, 3, 3)
    by_tap = felt(flat, "1", inputs).view(5, 9, 5, 9).diagonal(dim1=1, dim2=3).sum(-1)
    assert torch.allclose(felt(wide, "0", inputs), by_tap, rtol=1e-4)


class Heads(nn.Module):
    """One linear layer, and what is made of it."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.trunk, self.last = nn.Linear(6, 4), last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.trunk(x))


class Unit(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, dim=1)


class Map(nn.Module):
    """Logits for each of two positions: one decision of four classes each."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x, 2 * x], 2)[..., None].expand(-1, -1, -1, 3)


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid(), nn.Softmax(1), Unit(), Map()])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_it_foretells_the_divergence_of_every_kind_of_output(last: nn.Module, scale: float) -> None:
    torch.manual_seed(0)
    model, inputs = Heads(last), torch.randn(4096, 6)
    with torch.no_grad():
        model.trunk.weight.mul_(scale)
    comparison, error = comparison_of(model, inputs), 0.02 * torch.randn(4096, 6)
    found = felt(model, "trunk", inputs)
    with torch.no_grad():
        dense = comparison.prepare(model(inputs))
        moved = comparison.prepare(model(inputs + error))
        wanted = float(comparison.mean(comparison.divergences(moved, dense)).double().mean())
    foretold = float((found * (error.T @ error).double() / len(error)).sum() / 2)
    assert foretold == pytest.approx(wanted, rel=0.1)


def test_an_operator_in_place_does_not_change_what_is_kept() -> None:
    torch.manual_seed(0)
    apart = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    model = nn.Sequential(apart[0], nn.ReLU(inplace=True), apart[2])
    inputs = torch.randn(256, 6)
    assert torch.equal(felt(model, "0", inputs), felt(apart, "0", inputs))
    assert not any(parameter.grad is not None for parameter in model.parameters())


@torch.no_grad()
def test_a_curve_is_the_divergence_when_that_many_channels_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 5)).eval()
    images = torch.randn(2048, 12)
    problem = build_problem(model, images, Budget(macs=0.6))
    ranking, statistics = rank_channels(problem, images, "gram", 0, QUIET)
    curve = error_curves(model, problem.coupling, ranking, statistics)[0][0]
    assert curve[-1] == pytest.approx(0, abs=1e-6)
    wanted, read = model(images), model[1](model[0](images))
    likely = wanted.log_softmax(1)
    for kept in (6, 8, 9):
        stays = torch.cat([read[:, ranking.orders[0][:kept]], torch.ones(len(read), 1)], 1)
        given = (stays @ torch.linalg.lstsq(stays, wanted).solution).log_softmax(1)
        assert curve[kept] == pytest.approx(float((likely.exp() * (likely - given)).sum(1).mean()), rel=0.3)


def test_what_the_outputs_do_not_feel_goes_first() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5)
    ).eval()
    with torch.no_grad():  # all but two outputs of the second layer are read by almost nothing
        model[4].weight[:, 2:] *= 1e-4
    images = torch.randn(512, 12)
    problem = build_problem(model, images, Budget(macs=0.7))
    ranking, statistics = rank_channels(problem, images, "gram", 0, QUIET)
    limits = Limits(Budget(macs=0.7), problem.limits.costs)
    counts = by_curves(error_curves(model, problem.coupling, ranking, statistics)[0], limits, 1.5)
    assert counts.argmin() == 1
    assert limits.fits(counts)


class NoGradient(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


@pytest.mark.parametrize("kind", [NoGradient, nn.Sequential])
def test_without_a_gradient_curves_are_relative(kind: type[nn.Sequential], capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model, images = kind(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 5)).eval(), torch.randn(512, 12)
    problem = build_problem(model, images, Budget(macs=0.6))
    ranking, statistics = rank_channels(problem, images, "gram", 0, Reporter())
    total = error_curves(model, problem.coupling, ranking, statistics)[0][0][0]
    without = kind is NoGradient
    assert bool(total == pytest.approx(1, abs=0.1)) == without
    assert ("error curves are relative" in capsys.readouterr().err) == without


def test_outputs_that_are_not_finite_are_refused() -> None:
    class Steep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - x).sqrt()

    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(6, 4), Steep()), torch.randn(64, 6)
    with pytest.raises(ModelError, match="not finite"):
        felt(model, "0", inputs)


def test_a_layer_that_the_outputs_do_not_need_is_felt_by_nothing() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(6, 4), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.spare(x)
            return self.used(x)

    found = felt(Spare(), "spare", torch.randn(64, 6))
    assert np.array_equal(found.numpy(), np.zeros((6, 6)))
