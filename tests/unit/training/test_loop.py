import copy

import pytest
import torch
from torch.utils.data import TensorDataset

from mendsearch.config import FinetuneSpec, TrainSpec
from mendsearch.errors import MendsearchError, ModelError
from mendsearch.outputs import comparison_of
from mendsearch.training.loop import accuracy, predict, train
from tests.zoo import IMAGES, build

LABELS = (IMAGES.mean((1, 2, 3)) > 0).long()
DATA = TensorDataset(IMAGES, LABELS)
SPEC = TrainSpec(epochs=6, batch_size=16, learning_rate=0.05)


def test_training_learns():
    model = build("residual")
    before = accuracy(model, DATA)
    train(model, DATA, TrainSpec(epochs=30, batch_size=16, learning_rate=0.05), seed=0)
    assert accuracy(model, DATA) > max(0.9, before)
    assert not model.training


def test_the_seed_fixes_the_weights():
    models = [build("residual") for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        train(model, DATA, SPEC, seed=seed)
    outputs = [predict(model, IMAGES) for model in models]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


class Stopped(Exception):
    pass


def test_training_taken_up_after_an_interruption_ends_with_the_same_weights(tmp_path):
    whole, broken = build("residual"), build("residual")
    train(whole, DATA, SPEC, seed=0)
    epochs = []

    def stop(loss):
        epochs.append(loss)
        if len(epochs) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(broken, DATA, SPEC, seed=0, checkpoint=tmp_path / "t.pt", on_epoch=stop)
    fresh, seen = build("residual", seed=5), []
    train(fresh, DATA, SPEC, seed=0, checkpoint=tmp_path / "t.pt", on_epoch=seen.append)
    assert len(seen) == 6
    again = build("residual", seed=6)
    train(again, DATA, SPEC, seed=0, checkpoint=tmp_path / "t.pt")  # nothing is left to do
    torch.testing.assert_close(again.state_dict(), whole.state_dict())
    torch.testing.assert_close(fresh.state_dict(), whole.state_dict())


@pytest.mark.parametrize(("part", "steps"), [(0.25, 6), (0.5, 12), (1.0, 24)])
def test_a_part_of_the_training_has_that_part_of_the_steps(part, steps):
    """6 epochs of 4 batches; an epoch may be cut short."""
    rows = TensorDataset(IMAGES[:64], LABELS[:64])
    model, seen = build("residual"), []
    model.register_forward_hook(lambda *_: seen.append(1) if model.training else None)
    train(model, rows, SPEC, seed=0, part=part)
    assert len(seen) == steps


def test_no_epochs_change_nothing():
    model = build("residual")
    before = copy.deepcopy(model.state_dict())
    train(model, DATA, TrainSpec(epochs=0), seed=0)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_loss_that_is_no_number_ends_the_run_and_says_so():
    with pytest.raises(MendsearchError, match=r"training diverged in epoch 1.*try a lower learning_rate"):
        train(build("residual"), TensorDataset(IMAGES * torch.inf, LABELS), SPEC, seed=0)


def test_accuracy_is_the_fraction_of_right_answers():
    model = build("residual")
    right = (predict(model, IMAGES).argmax(1) == LABELS).float().mean()
    assert accuracy(model, DATA, batch_size=7) == pytest.approx(float(right))


def test_a_teacher_alone_can_teach():
    """At full weight of distillation labels do not matter, and the student comes nearer to the teacher."""
    teacher, spec = build("residual"), FinetuneSpec(epochs=8, batch_size=16, learning_rate=0.02, distillation=1.0)
    students = [build("residual", seed=3) for _ in range(2)]
    wanted = predict(teacher, IMAGES).softmax(1)
    before = (predict(students[0], IMAGES).softmax(1) - wanted).square().mean()
    for student, labels in zip(students, (LABELS, 1 - LABELS), strict=True):
        train(student, TensorDataset(IMAGES, labels), spec, seed=0, teacher=teacher)
    outputs = [predict(student, IMAGES) for student in students]
    assert torch.equal(*outputs)
    assert (outputs[0].softmax(1) - wanted).square().mean() < 0.5 * before
    assert not teacher.training


@pytest.mark.parametrize("name", ["pixels", "two heads", "one logit", "embedding", "regression"])
def test_outputs_of_any_form_are_distilled(name):
    teacher, student = build(name), build(name, seed=3)
    comparison = comparison_of(teacher, IMAGES)

    def distance():
        with torch.no_grad():
            prepared = [comparison.prepare(model(IMAGES)) for model in (student, teacher)]
            return comparison.mean(comparison.divergences(*prepared)).mean()

    before = distance()
    spec = FinetuneSpec(epochs=8, batch_size=16, learning_rate=0.01, distillation=1.0)
    train(student, DATA, spec, seed=0, teacher=teacher, comparison=comparison)
    assert distance() < 0.7 * before


def test_pixels_are_learnt_from_their_labels():
    labels = (IMAGES.mean(1) > 0).long()
    model, data = build("pixels"), TensorDataset(IMAGES, labels)
    comparison = comparison_of(model, IMAGES)
    before = accuracy(model, data, comparison=comparison)
    train(model, data, TrainSpec(epochs=20, batch_size=16, learning_rate=0.05), seed=0, comparison=comparison)
    assert accuracy(model, data, comparison=comparison) > max(0.9, before)


def test_a_loss_of_ones_own_is_lowered():
    seen = []

    def loss(outputs, targets):
        seen.append((sorted(outputs), targets.shape))
        return outputs["boxes"][0].square().mean() + 0 * targets.sum()

    model = build("two heads")
    size = [model(IMAGES)["boxes"][0].square().mean().item()]
    train(model, DATA, SPEC, seed=0, loss=loss)
    assert model(IMAGES)["boxes"][0].square().mean().item() < 0.5 * size[0]
    assert seen[0] == (["anchors", "boxes", "classes"], (16,))
    with pytest.raises(ModelError, match=r"the loss gives a tensor \(16, 4\), expected a scalar"):
        train(model, DATA, SPEC, seed=0, loss=lambda outputs, targets: outputs["boxes"][0])


def test_accuracy_is_none_where_nothing_can_be_right():
    model = build("two heads")
    assert accuracy(model, DATA, comparison=comparison_of(model, IMAGES)) is None
    embedding = build("embedding")
    assert accuracy(embedding, DATA, comparison=comparison_of(embedding, IMAGES)) is None
    one = build("one logit")
    right = ((predict(one, IMAGES) > 0) == (LABELS == 1)).float().mean()
    assert accuracy(one, DATA, comparison=comparison_of(one, IMAGES)) == pytest.approx(float(right))
    soft = TensorDataset(IMAGES, torch.rand(64))
    assert accuracy(one, soft, comparison=comparison_of(one, IMAGES)) is None


@torch.no_grad()
def test_predictions_of_several_outputs_are_joined_by_name():
    model = build("two heads")
    found = predict(model, IMAGES, batch_size=10)
    assert found["classes"].shape == (64, 5)
    torch.testing.assert_close(found["boxes.0"], model(IMAGES)["boxes"][0])


def test_without_weight_the_teacher_is_not_asked():
    class Never(torch.nn.Module):
        def forward(self, x):
            raise AssertionError("asked")

    spec = FinetuneSpec(epochs=1, batch_size=16, distillation=0)
    train(build("residual"), DATA, spec, seed=0, teacher=Never())
