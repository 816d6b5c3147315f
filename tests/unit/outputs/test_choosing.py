"""What a network gives, and what the user says, become one comparison."""

import pytest
import torch
from torch import nn

from mendsearch.config import OutputSpec
from mendsearch.errors import DataError, ModelError, UsageError
from mendsearch.outputs import LOGITS, comparison_of, outputs_of
from tests.zoo import IMAGES


class Heads(nn.Module):
    """Classes, boxes in a list, what is the same for all items, and what is as long as the first batch."""

    def __init__(self):
        super().__init__()
        self.classes, self.boxes = nn.Linear(192, 5), nn.Linear(192, 4)

    def forward(self, x):
        x = x.flatten(1)
        return {"classes": self.classes(x), "boxes": [self.boxes(x)], "anchors": torch.rand(3, 4), "count": len(x)}


def heads():
    torch.manual_seed(0)
    return Heads().eval()


def found(wishes=None):
    return {output.name: output for output in outputs_of(heads(), IMAGES, wishes)[0]}


def test_every_output_gets_its_divergence():
    outputs = found()
    assert {name: output.divergence for name, output in outputs.items()} == {
        "classes": "kl", "boxes.0": "squared", "anchors": "none",
    }  # fmt: skip
    assert outputs["classes"].shape == (5,)
    assert outputs["anchors"].reason == "its first axis is not that of items"


@pytest.mark.parametrize(
    "wish",
    [
        {"divergence": "squared", "weight": 3},
        OutputSpec(divergence="squared", weight=3),
    ],
)
def test_the_user_says_otherwise(wish):
    output = found({"classes": wish, "boxes.0": "none"})["classes"]
    assert (output.divergence, output.weight, output.axis) == ("squared", 3, 1)
    assert found({"boxes.0": "none"})["boxes.0"].divergence == "none"


def test_a_function_compares_an_output():
    comparison = comparison_of(heads(), IMAGES, {"classes": lambda f, d: (f - d).abs().sum(1), "boxes.0": "none"})
    prepared = [comparison.prepare({"classes": torch.full((2, 5), value)}) for value in (1.0, 3.0)]
    assert comparison.mean(comparison.divergences(*prepared)).tolist() == [10, 10]
    assert "test_choosing" in comparison.version[0][1]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"logits": "kl"}, "score.outputs: got 'logits', expected one of classes, boxes.0, anchors"),
        ({"classes": "mse"}, "score.outputs.classes: divergence: got 'mse'"),
        ({"classes": {"divergence": "kl", "wieght": 1}}, "score.outputs.classes: unknown key `wieght`"),
        ({"classes": {"divergence": "kl", "axis": 2}}, "along axis 2, expected an axis from 1 to 1"),
        ({"classes": {"divergence": "kl", "axis": 0}}, "axis 0 is that of items"),
        ({"classes": "detections"}, "`detections` does not fit a tensor"),
        ({"anchors": "squared"}, "cannot be compared: its first axis is not that of items"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wishes, message):
    with pytest.raises(UsageError, match=message):
        found(wishes)


def test_nothing_to_compare_is_refused_with_the_reasons():
    with pytest.raises(ModelError, match=r"cannot be compared: got classes: as asked; .* a metric of your own"):
        comparison_of(heads(), IMAGES, {"classes": "none", "boxes.0": "none"})


def test_weights_are_shares():
    comparison = comparison_of(heads(), IMAGES, {"classes": {"divergence": "kl", "weight": 3}})
    values = {"classes": torch.tensor([1.0]), "boxes.0": torch.tensor([5.0])}
    assert comparison.mean(values).tolist() == [2.0]


def test_agreement_is_of_outputs_with_classes():
    comparison, outputs = comparison_of(heads(), IMAGES), heads()(IMAGES)
    prepared = comparison.prepare(outputs)
    other = comparison.prepare({**outputs, "boxes": [outputs["boxes"][0] + 9], "classes": -outputs["classes"]})
    assert comparison.agreement(prepared, prepared).tolist() == [1] * 64
    same = (outputs["classes"].argmax(1) == outputs["classes"].argmin(1)).float()
    assert torch.equal(comparison.agreement(other, prepared), same)
    assert comparison_of(heads(), IMAGES, {"classes": "none"}).agreement(other, prepared) is None


def test_classes_are_known_where_one_output_has_them():
    assert comparison_of(heads(), IMAGES).classes is None
    assert comparison_of(heads(), IMAGES, {"boxes.0": "none"}).classes == 5
    assert comparison_of(heads(), IMAGES, {"classes": "none"}).classes is None


def test_several_outputs_have_no_built_in_loss():
    comparison = comparison_of(heads(), IMAGES)
    with pytest.raises(DataError, match=r"got the outputs classes, boxes.0 and targets of Tensor"):
        comparison.loss(comparison.prepare(heads()(IMAGES)), torch.zeros(64))


def test_more_outputs_in_training_mode_are_no_trouble_if_the_first_is_the_one():
    logits = torch.randn(2, 5)
    assert torch.equal(LOGITS.prepare((logits, logits * 2))["output"], logits.log_softmax(1))
    with pytest.raises(ModelError, match=r"lacks the outputs classes, boxes\.0 here: got output"):
        comparison_of(heads(), IMAGES).prepare(logits)


def test_the_choice_leaves_the_network_as_it_was():
    model = heads().train()
    outputs_of(model, IMAGES)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
