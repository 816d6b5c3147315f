"""Labels tell logits from quantities, where the output's shape does not."""

import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.config import parse_spec
from mendsearch.fleet.bundle import portable_spec
from mendsearch.outputs import outputs_of
from mendsearch.outputs.labels import with_labels

INPUTS = torch.randn(80, 6)
ONE_HOT = torch.eye(3)[torch.arange(80) % 3]


def guessed(model, labels, wishes=None):
    (output,), _ = outputs_of(model, INPUTS, with_labels(model, INPUTS, labels, wishes))
    return output


@pytest.mark.parametrize(
    ("labels", "width", "divergence"),
    [
        (None, 3, "kl"),
        (torch.arange(80) % 3, 3, "kl"),
        (10 * torch.rand(80, 3), 3, "squared"),
        (torch.rand(80, 3) - 0.5, 3, "squared"),
        (10 * torch.rand(80), 1, "squared"),
        (10 * torch.rand(80), 3, "kl"),  # not one for each value
        (ONE_HOT, 3, "kl"),
        (torch.tensor([[0.0, 1.0, 1.0]]).expand(80, 3), 3, "bernoulli"),
        (torch.rand(80).round(), 1, "bernoulli"),
        (torch.rand(80), 1, "squared"),
        (torch.rand(80, 3), 3, "squared"),
        (torch.randn(80, 3).softmax(1), 3, "kl"),  # soft labels of classes
        (0.9 * torch.rand(80).round() + 0.05, 1, "bernoulli"),  # smoothed decisions
    ],
)
def test_what_labels_are_decides(labels, width, divergence):
    output = guessed(nn.Linear(6, width), labels)
    assert output.divergence == divergence


def test_quantities_from_0_to_1_are_told_from_logits_of_a_trained_network():
    model = nn.Linear(6, 4)
    with torch.no_grad():
        model.weight.mul_(6)
    wanted = model(INPUTS).sigmoid().detach()
    assert guessed(model, wanted).divergence == "kl"  # as its shape says: its logits are not taken for quantities
    assert guessed(nn.Sequential(model, nn.Sigmoid()), wanted).divergence == "squared"
    assert guessed(nn.Linear(6, 4), wanted).divergence == "squared"


def test_super_resolution_is_a_regression():
    """Pixels from 0 to 1, on a map that is larger than the input."""
    images = torch.rand(40, 1, 7, 7)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2))
    outputs, _ = outputs_of(model, images, with_labels(model, images, torch.rand(40, 1, 14, 14), {}))
    assert outputs[0].divergence == "squared"


def test_the_reason_is_told():
    assert guessed(nn.Linear(6, 3), 10 * torch.rand(80, 3)).reason == "by what its labels are"


def test_the_user_decides_first():
    output = guessed(nn.Linear(6, 3), 10 * torch.rand(80, 3), {"output": "kl"})
    assert (output.divergence, output.reason) == ("kl", "as asked")


def test_a_regression_is_mended_as_one():
    """Of classes, a candidate that is off by the same amount in every output would be perfect."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3)).eval()
    pruned = mendsearch.mend(
        model,
        calibration=INPUTS,
        validation=(INPUTS, 10 * torch.randn(80, 3)),
        budget=mendsearch.Budget(macs=0.5),
        n_trials=3,
        quiet=True,
    )
    errors = (pruned.model(INPUTS) - model(INPUTS)).square().mean(0) / model(INPUTS).var(0, correction=0)
    assert pruned.score == pytest.approx(-float(errors.mean().detach()), rel=0.05)


def test_workers_get_it_with_the_spec():
    table = {"name": "a", "model": {"name": "a:b"}, "data": {"name": "a:b"}, "budget": {"macs": 0.5}}
    outputs = with_labels(nn.Linear(6, 3), INPUTS, 10 * torch.rand(80, 3), {})
    sent = portable_spec(parse_spec(table, ""), {}, outputs)
    assert parse_spec(sent, "").score.outputs["output"].divergence == "squared"
