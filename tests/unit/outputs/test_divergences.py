"""What holds for every divergence, and what each one is."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mendsearch.errors import DataError, ModelError
from mendsearch.outputs.bernoulli import Bernoulli
from mendsearch.outputs.cosine import Cosine
from mendsearch.outputs.detections import MatchedBoxes
from mendsearch.outputs.given import Given
from mendsearch.outputs.kl import KL
from mendsearch.outputs.squared import Squared


def normal(*shape, seed, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def detections(items, seed):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(items):
        count = int(torch.randint(1, 6, (), generator=generator))
        corners = 10 * torch.rand(count, 2, generator=generator)
        sizes = 1 + 5 * torch.rand(count, 2, generator=generator)
        found.append(
            {
                "boxes": torch.cat([corners, corners + sizes], 1),
                "scores": 0.1 + 0.9 * torch.rand(count, generator=generator),
                "labels": torch.randint(0, 3, (count,), generator=generator),
            }
        )
    return found


DENSE = normal(64, 5, seed=99)
CASES = {
    "kl": (lambda: KL(1), lambda n, seed: normal(n, 5, seed=seed)),
    "kl of pixels": (lambda: KL(1), lambda n, seed: normal(n, 3, 4, 4, seed=seed)),
    "kl over the last axis": (lambda: KL(2), lambda n, seed: normal(n, 4, 5, seed=seed)),
    "kl of probabilities": (lambda: KL(1, probabilities=True), lambda n, seed: normal(n, 5, seed=seed).softmax(1)),
    "bernoulli": (Bernoulli, lambda n, seed: normal(n, seed=seed)),
    "bernoulli of maps": (Bernoulli, lambda n, seed: normal(n, 1, 4, 4, seed=seed)),
    "bernoulli of probabilities": (
        lambda: Bernoulli(probabilities=True), lambda n, seed: normal(n, 3, seed=seed).sigmoid(),
    ),
    "squared": (lambda: Squared.fitted(DENSE), lambda n, seed: normal(n, 5, seed=seed)),
    "squared of one value": (lambda: Squared.fitted(DENSE[:, 0]), lambda n, seed: normal(n, seed=seed)),
    "cosine": (lambda: Cosine(1), lambda n, seed: functional.normalize(normal(n, 5, seed=seed), dim=1)),
    "detections": (MatchedBoxes, detections),
}  # fmt: skip
every = pytest.mark.parametrize("case", CASES)


@every
@settings(deadline=None, max_examples=30)
@given(items=st.integers(1, 5), seed=st.integers(0, 1000))
def test_it_is_zero_where_outputs_are_equal_and_positive_where_they_are_not(case, items, seed):
    make, draw = CASES[case]
    divergence = make()
    found, dense = (divergence.prepare(draw(items, seed + offset)) for offset in (0, 1))
    same = divergence.between(dense, dense)
    other = divergence.between(found, dense)
    assert same.shape == other.shape == (items,)
    assert same.abs().max() < 1e-5
    assert other.min() > -1e-6
    if items > 1:  # two single numbers may be alike
        assert other.max() > 1e-5


@every
def test_each_item_is_judged_by_itself(case):
    """Another item changes nothing, and one item alone changes only its own divergence."""
    make, draw = CASES[case]
    divergence, dense, found = make(), draw(4, 0), draw(4, 1)
    mixed = [*dense[:2], *found[2:]] if isinstance(dense, list) else torch.cat([dense[:2], found[2:]])
    whole = divergence.between(divergence.prepare(mixed), divergence.prepare(dense))
    assert whole[:2].abs().max() < 1e-5
    torch.testing.assert_close(
        whole[2:], divergence.between(divergence.prepare(found[2:]), divergence.prepare(dense[2:]))
    )


@every
def test_nearer_outputs_diverge_less(case):
    make, draw = CASES[case]
    if case == "detections":
        return
    divergence, dense, other = make(), draw(8, 0), draw(8, 1)
    values = [
        float(divergence.between(divergence.prepare(dense + part * (other - dense)), divergence.prepare(dense)).mean())
        for part in (0.1, 0.5, 1.0)
    ]
    assert values == sorted(values)


@pytest.mark.parametrize("case", [name for name in CASES if name != "detections"])
def test_own_loss_and_distillation_have_gradients(case):
    make, draw = CASES[case]
    divergence, dense = make(), draw(6, 0)
    leaf = draw(6, 1).requires_grad_()
    for loss in (divergence.own_loss(divergence.prepare(leaf)), divergence.distillation(leaf, dense).mean()):
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 1e-3


def test_kl_is_the_divergence_of_distributions():
    found, dense = (normal(7, 5, seed=seed) for seed in (0, 1))
    kl = KL(1)
    wanted = (dense.softmax(1) * (dense.log_softmax(1) - found.log_softmax(1))).sum(1)
    torch.testing.assert_close(kl.between(kl.prepare(found), kl.prepare(dense)), wanted)
    of_probabilities = KL(1, probabilities=True)
    values = of_probabilities.between(*(of_probabilities.prepare(x.softmax(1)) for x in (found, dense)))
    torch.testing.assert_close(values, wanted, rtol=1e-4, atol=1e-6)


def test_a_map_counts_as_the_mean_of_its_positions():
    found, dense = (normal(2, 3, 4, 4, seed=seed) for seed in (0, 1))
    kl = KL(1)
    pixels = [x.permute(0, 2, 3, 1).reshape(-1, 3) for x in (found, dense)]
    wanted = kl.between(*(kl.prepare(x) for x in pixels)).view(2, 16).mean(1)
    torch.testing.assert_close(kl.between(kl.prepare(found), kl.prepare(dense)), wanted)


def test_bernoulli_is_kl_of_two_classes():
    found, dense = (normal(9, seed=seed) for seed in (0, 1))
    two = [torch.stack([torch.zeros(9), x], 1) for x in (found, dense)]
    kl, bernoulli = KL(1), Bernoulli()
    torch.testing.assert_close(bernoulli.between(found, dense), kl.between(*(kl.prepare(x) for x in two)))
    sure = Bernoulli(probabilities=True)
    values = sure.between(sure.prepare(torch.tensor([0.0, 1.0])), sure.prepare(torch.tensor([1.0, 1.0])))
    assert math.isfinite(values[0])
    assert values[1] == 0


def test_squared_error_of_the_mean_is_one_whatever_the_scales():
    dense = normal(500, 4, seed=0) * torch.tensor([1e-3, 1.0, 50.0, 1e3]) + 7
    squared = Squared.fitted(dense)
    mean = dense.mean(0, keepdim=True).expand_as(dense)
    floor = torch.tensor([1.0, 1.0, 1.0, 1.0])
    assert squared.between(mean, dense).mean() == pytest.approx(1, abs=0.6)
    assert (squared.scale.flatten() >= floor * float(dense.var(0, correction=0).mean()) * 1e-3 * 0.999).all()


def test_outputs_that_never_vary_are_scaled_by_their_size():
    constant = torch.full((8, 3), 4.0)
    assert Squared.fitted(constant).between(torch.zeros(8, 3), constant).tolist() == pytest.approx([1.0] * 8)
    assert torch.isfinite(Squared.fitted(torch.zeros(8, 3)).between(constant, torch.zeros(8, 3))).all()


def test_boxes_count_by_overlap_score_and_label():
    box = {"boxes": torch.tensor([[0.0, 0, 10, 10]]), "scores": torch.tensor([0.8]), "labels": torch.tensor([1])}
    half = box | {"boxes": torch.tensor([[0.0, 0, 10, 5]])}
    other = box | {"labels": torch.tensor([2])}
    none = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0)}
    boxes = MatchedBoxes()
    values = boxes.between(boxes.prepare([box, half, other, none, none]), boxes.prepare([box, box, box, box, none]))
    assert values.tolist() == pytest.approx([0, 0.5, 1, 1, 0])


def test_agreement_is_of_decisions():
    classes, dense = torch.tensor([[3.0, 1], [0, 1]]), torch.tensor([[2.0, 1], [1, 0]])
    assert KL(1).agreement(classes, dense).tolist() == [1, 0]
    assert Bernoulli().agreement(torch.tensor([[1.0, -1], [1, 1]]), torch.tensor([[2.0, 1], [3, 4]])).tolist() == [
        0.5,
        1,
    ]
    assert Squared.fitted(DENSE).agreement(classes, dense) is None
    assert Cosine(1).agreement(classes, dense) is None


def test_the_loss_is_that_of_pytorch():
    logits, classes = normal(6, 3, 4, 4, seed=0), torch.randint(0, 3, (6, 4, 4))
    found = KL(1).loss(KL(1).prepare(logits), classes)
    torch.testing.assert_close(found.mean(), functional.cross_entropy(logits, classes))
    values, yes = normal(6, 1, seed=0), torch.randint(0, 2, (6,))
    wanted = functional.binary_cross_entropy_with_logits(values[:, 0], yes.float())
    torch.testing.assert_close(Bernoulli().loss(values, yes).mean(), wanted)
    targets = normal(6, 5, seed=3)
    torch.testing.assert_close(
        Squared.fitted(DENSE).loss(DENSE[:6], targets).mean(), functional.mse_loss(DENSE[:6], targets)
    )


def test_targets_that_do_not_fit_are_said_to():
    logits = KL(1).prepare(normal(6, 3, seed=0))
    with pytest.raises(DataError, match=r"targets are float32, expected classes"):
        KL(1).loss(logits, torch.rand(6))
    with pytest.raises(DataError, match=r"shape \(6, 2\) do not fit: expected classes of shape \(6,\)"):
        KL(1).loss(logits, torch.zeros(6, 2, dtype=torch.long))
    with pytest.raises(DataError, match="no built-in loss"):
        MatchedBoxes().loss(detections(2, 0), torch.zeros(2))


@pytest.mark.parametrize("wrong", [5, -1])
def test_targets_that_are_no_classes_of_the_output_are_named(wrong):
    kl, found = KL(1), torch.randn(3, 5).log_softmax(1)
    with pytest.raises(DataError, match=f"targets hold class {wrong}, expected 0 to 4, the classes of the network's"):
        kl.loss(found, torch.tensor([0, wrong, 2]))
    assert kl.loss(found, torch.tensor([0, -100, 2]))[1] == 0


def test_a_function_of_ones_own_gives_one_value_an_item():
    own = Given(lambda found, dense: (found - dense).abs().sum(1), "boxes")
    assert own.between(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [3, 3]
    wrong = Given(lambda found, dense: (found - dense).abs().sum(), "boxes")
    with pytest.raises(ModelError, match=r"given for `boxes`: got \(\), expected a tensor \(2,\)"):
        wrong.between(torch.ones(2, 3), torch.zeros(2, 3))


def test_targets_beyond_0_and_1_are_no_decisions():
    with pytest.raises(DataError, match=r"targets run from -3 to 7, expected 0 to 1"):
        Bernoulli().loss(torch.zeros(2, 1), torch.tensor([-3.0, 7.0]))
