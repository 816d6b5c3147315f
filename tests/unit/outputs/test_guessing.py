import pytest
import torch
from torch import nn
from torch.nn import functional

from mendsearch.outputs import outputs_of
from mendsearch.outputs.guessing import guess

torch.manual_seed(0)
LOGITS, MAP, IMAGE = 3 * torch.randn(32, 5), 3 * torch.randn(32, 4, 8, 8), torch.randn(32, 3, 8, 8)
ONE = 3 * torch.randn(32)


@pytest.mark.parametrize(
    ("name", "values", "divergence", "axis", "probabilities"),
    [
        ("output", LOGITS, "kl", 1, False),
        ("output", LOGITS.softmax(1), "kl", 1, True),
        ("output", LOGITS.log_softmax(1), "kl", 1, False),
        ("output", LOGITS.softmax(1).half(), "kl", 1, True),
        ("output", LOGITS.sigmoid(), "bernoulli", None, True),
        ("output", functional.normalize(LOGITS, dim=1), "cosine", 1, False),
        ("output", ONE, "bernoulli", None, False),
        ("output", ONE[:, None], "bernoulli", None, False),
        ("output", ONE.sigmoid(), "bernoulli", None, True),
        ("output", 40 + 20 * ONE, "squared", None, False),
        ("output", (40 + 20 * ONE)[:, None], "squared", 1, False),
        ("output", MAP, "kl", 1, False),
        ("output", MAP.softmax(1), "kl", 1, True),
        ("output", MAP.sigmoid(), "bernoulli", None, True),
        ("output", MAP[:, :1], "bernoulli", None, False),
        ("output", 100 * MAP[:, :1], "squared", 1, False),
        ("output", functional.normalize(MAP, dim=1), "cosine", 1, False),
        ("output", torch.randn(32, 3, 2, 4, 4), "kl", 1, False),
        ("output", 3 * torch.randn(32, 20, 7), "squared", 1, False),
        ("output", torch.randn(32, 20, 7).softmax(2), "kl", 2, True),
        ("output", torch.randn(32, 1, 7).log_softmax(2), "kl", 2, False),
        ("output", torch.randn(32, 20, 7).log_softmax(2), "kl", 2, False),
        ("output", IMAGE + 0.1 * torch.randn_like(IMAGE), "squared", 1, False),
        ("output", torch.randn_like(IMAGE), "kl", 1, False),
        ("boxes.0", LOGITS, "squared", 1, False),
        ("depth", MAP[:, :1], "squared", 1, False),
        ("labels", torch.ones(32, dtype=torch.long), "none", None, False),
        ("output", torch.zeros(32, 5), "kl", 1, False),
        ("output", torch.zeros(32, 1), "bernoulli", None, False),
    ],
)
def test_a_guess_follows_values_and_shape(name, values, divergence, axis, probabilities):
    found = guess(name, values, IMAGE)
    assert (found.divergence, found.axis, found.probabilities) == (divergence, axis, probabilities)
    assert found.reason


def test_detections_are_matched():
    assert guess("output", [{"boxes": torch.zeros(0, 4), "scores": torch.zeros(0)}], None).divergence == "detections"


@pytest.mark.parametrize("logits", [LOGITS, MAP], ids=["vectors", "maps"])
def test_what_stands_beside_probabilities_is_no_logits_unless_they_are_made_of_it(logits):
    likely = logits.softmax(1)
    assert guess("0", logits, None, [likely]).divergence == "kl"
    assert guess("0", logits + torch.randn_like(logits), None, [likely]).divergence == "squared"
    assert guess("0", logits[:, :3], None, [likely]).divergence == "squared"
    assert guess("0", logits, None, [torch.randn(32, 9, 9).softmax(2)]).divergence == "kl"  # attention, say


class Faces(nn.Module):
    """As the networks of MTCNN: boxes, and probabilities of two classes."""

    def __init__(self):
        super().__init__()
        self.boxes, self.classes = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.boxes(x), self.classes(x).softmax(1)


def test_boxes_beside_probabilities_are_quantities():
    outputs, _ = outputs_of(Faces(), torch.randn(16, 3, 5, 5))
    assert [output.divergence for output in outputs] == ["squared", "kl"]
    assert "probabilities" in outputs[0].reason


def test_vectors_like_the_inputs_are_numbers():
    """An autoencoder of flat inputs."""
    given = torch.randn(64, 12)
    assert guess("output", given + 0.3 * torch.randn_like(given), given).divergence == "squared"
    assert guess("output", torch.randn_like(given), given).divergence == "kl"
