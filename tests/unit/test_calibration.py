import warnings

import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.calibration import CalibrationWarning, doubts
from tests.unit.mending.test_scoring import digits_problem
from tests.unit.test_api import LABELS
from tests.zoo import IMAGES, build


def digits():
    problem, _, splits = digits_problem(0.4)
    return problem.model, splits.calibration.tensor


def with_classifier(change):
    """The trained network, its classifier changed in place."""
    model, images = digits()
    changed = nn.Sequential(model, nn.Linear(10, 10)).eval()
    with torch.no_grad():
        change(changed[1])
    return changed, images


def test_nothing_is_said_of_the_images_a_network_was_trained_on():
    model, images = digits()
    assert doubts(model, images, torch.arange(10)) == []


def test_few_images():
    model, images = digits()
    assert doubts(model, images[:20]) == [
        "calibration: got 20 items, and regressions have little to go by; give 64 or more, better 1,000"
    ]


@pytest.mark.parametrize("factor", [16, 255])
def test_images_of_another_scale(factor):
    model, images = digits()
    (line,) = doubts(model, images * factor)
    assert "far from what the network was trained on" in line


def test_bytes_where_the_network_was_trained_on_fractions():
    model, images = digits()
    (line,) = doubts(model, (images - images.min()) * 90)
    assert line.startswith("calibration: pixels run from 0 to 239, and `")
    assert "divide by 255" in line


def test_images_far_from_those_of_the_training():
    model, images = digits()
    (line,) = doubts(model, torch.randn(100, *images.shape[1:]) * 2 + 1)
    assert "far from what the network was trained on (its batch norms see means" in line


def test_one_class_alone():
    model, images = digits()
    with torch.no_grad():
        threes = images[model(images).argmax(1) == 3]
    lines = doubts(model, threes.repeat(3, 1, 1, 1))
    assert "calibration: the network gives class 3 for all items; take items of every class" in lines
    assert doubts(model, images, torch.full((9,), 4)) == [
        "calibration: all validation items have the label 4; take items of every class"
    ]


def test_constant_outputs_and_outputs_that_say_nothing():
    (line,) = doubts(*with_classifier(lambda layer: layer.weight.zero_()))
    assert "gives the same outputs for all items" in line
    (line,) = doubts(*with_classifier(lambda layer: (layer.weight.mul_(1e-3), layer.bias.zero_())))
    assert "outputs say nothing" in line


def test_outputs_of_any_form_are_looked_at():
    model = build("two heads")
    assert not [line for line in doubts(model, IMAGES) if "outputs" in line]
    with torch.no_grad():
        model.fc.weight[5:] = 0
    (line,) = (line for line in doubts(model, IMAGES) if "outputs" in line)
    assert "gives the same outputs for all items (`boxes.0`)" in line
    pixels = build("pixels")
    with torch.no_grad():
        pixels.head.bias[2] = 100
    assert any("gives class 2 for all items" in line for line in doubts(pixels, IMAGES))
    one = build("one logit")
    with torch.no_grad():
        one.fc.weight.zero_()
        one.fc.bias.fill_(3)
    assert any("gives the same outputs" in line for line in doubts(one, IMAGES))


def test_a_network_that_was_never_trained():
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)).eval()
    assert "calibration: the batch norms hold what they hold before training; load trained weights" in doubts(
        model, IMAGES
    )


def test_a_caller_is_warned_before_work_and_the_network_is_left_alone():
    model = build("residual").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.warns(CalibrationWarning, match="got 20 items"):
        mendsearch.mend(
            model, calibration=IMAGES[:20], validation=(IMAGES, LABELS), budget=mendsearch.Budget(macs=0.5),
            n_trials=1, quiet=True,
        )  # fmt: skip
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_digits_give_no_warning():
    model, images = digits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mendsearch.mend(
            model, calibration=images, validation=images[:100], budget=mendsearch.Budget(macs=0.5), n_trials=1,
            quiet=True,
        )  # fmt: skip
