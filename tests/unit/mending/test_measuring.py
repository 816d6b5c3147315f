"""What a network is worth on the validation items."""

import math

import pytest
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.mending.measuring import AGREEMENT, LOSS, WORST, Measure
from mendsearch.outputs import comparison_of
from tests.zoo import IMAGES, build

INPUTS, LABELS = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(len(IMAGES)) % 4


class Line(nn.Module):
    """Of (N, 4), 3 times the first feature, plus a shift; nothing to be right about."""

    def __init__(self, shift):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
            self.layer.bias.fill_(shift)

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize(("score", "metric", "best"), [("loss", LOSS, 1.0), ("agreement", AGREEMENT, 0.0)])
def test_a_regression_is_judged_by_its_loss_where_that_is_the_score(score, metric, best):
    dense, targets = Line(0.0), 3 * INPUTS[:, :1] + 1
    measure = Measure(
        dense, comparison_of(dense, INPUTS, {"output": "squared"}), None, score, (Batch.of(INPUTS), targets)
    )
    assert measure.metric == metric
    stands = {shift: measure.standing(Line(shift)).value for shift in (-1.0, 0.0, 1.0)}
    assert max(stands, key=stands.get) == best
    assert stands[best] == pytest.approx(0, abs=1e-9)
    tested = measure.of(Line(-1.0), [(Batch.of(INPUTS), targets)])
    assert tested == {"accuracy": None, "accuracy_error": None, "metric": pytest.approx(stands[-1.0])}
    if score == "loss":
        assert stands[-1.0] == pytest.approx(-4.0)


def test_an_accuracy_has_the_standard_error_of_its_items():
    """Of items that decide several things, each counts as one: decisions of one item hang together."""
    dense = build("residual")
    labels = torch.stack([LABELS, LABELS], 1)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = dense

        def forward(self, images):
            return torch.stack([self.inner(images)] * 2, 2)

    found = [
        Measure(model, comparison_of(model, IMAGES, {"output": "kl"}), None, "kl", (Batch.of(IMAGES), targets)).of(
            model, [(Batch.of(IMAGES), targets)]
        )
        for model, targets in ((dense, LABELS), (Twice(), labels))
    ]
    part, count = found[0]["accuracy"], len(IMAGES)
    assert found[0]["accuracy_error"] == pytest.approx((part * (1 - part) / count) ** 0.5)
    assert found[1] == found[0]


def test_outputs_that_are_not_finite_are_never_right():
    dense, ruined = build("residual"), build("residual")
    measure = Measure(dense, comparison_of(dense, IMAGES), None, "agreement", (Batch.of(IMAGES), LABELS))
    with torch.no_grad():
        for parameter in ruined.parameters():
            parameter.fill_(math.nan)
    assert measure.metric is None
    assert measure.of(ruined, [(Batch.of(IMAGES), LABELS)])["accuracy"] == 0
    standing = measure.standing(ruined)
    assert (standing.value, standing.tie) == (0, WORST)
