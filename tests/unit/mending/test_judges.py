"""Scores of networks with outputs of any form, and of a metric of the user's own."""

import pytest
import torch
from torch.nn import functional

from mendsearch.errors import DataError, ModelError, SpecError
from mendsearch.mending.search import build_problem
from tests.unit.mending.test_scoring import search_of
from tests.zoo import IMAGES, OUTPUTS, Head, boxes, build


def outputs_of(search, counts):
    with torch.no_grad():
        return search.scorer.build(counts)(IMAGES), search.problem.model(IMAGES)


@pytest.mark.parametrize("name", OUTPUTS)
def test_candidates_of_any_network_are_told_apart(name):
    """The dense network is at the top, and the more is removed the lower the score."""
    search = search_of(name, labels=None)
    values = [search.scorer.score(counts).value for counts in (search.pre_pruned, search.space.floor)]
    assert search.scorer.dense_score() == pytest.approx(0, abs=1e-5)
    assert 0 > values[0] > values[1]


def test_pixels_are_compared_one_by_one():
    search = search_of("pixels", labels=None)
    found, dense = outputs_of(search, search.pre_pruned)
    wanted = functional.kl_div(found.log_softmax(1), dense.log_softmax(1), reduction="none", log_target=True).sum(1)
    assert search.scorer.refined_score(search.pre_pruned) == pytest.approx(-float(wanted.mean()), rel=1e-3)
    scored = search.scorer.score(search.pre_pruned)
    assert scored.losses.shape == (64,)
    assert 0.5 < scored.top1_agreement < 1


def test_a_score_of_two_heads_is_made_of_both():
    search = search_of("two heads", labels=None)
    scored = search.scorer.score(search.uniform)
    assert scored.divergences.keys() == {"classes", "boxes.0"}
    assert scored.value == pytest.approx(-sum(scored.divergences.values()) / 2, rel=1e-5)
    heavy = search_of("two heads", labels=None, outputs={"boxes.0": {"divergence": "squared", "weight": 3}})
    again = heavy.scorer.score(search.uniform)
    assert again.value == pytest.approx(
        -(again.divergences["classes"] + 3 * again.divergences["boxes.0"]) / 4, rel=1e-5
    )
    assert heavy.fingerprint() != search.fingerprint()


def test_detections_are_compared_as_sets():
    torch.manual_seed(0)
    search = search_of(Head(15, boxes).eval(), labels=None)
    assert search.scorer.outputs[0].divergence == "detections"
    assert search.scorer.dense_score() == pytest.approx(0, abs=1e-6)
    values = [search.scorer.score(counts).value for counts in (search.pre_pruned, search.space.floor)]
    assert 0 > values[0] > values[1] >= -1


def test_agreement_is_left_out_where_nothing_is_decided():
    assert search_of("embedding", labels=None).scorer.score(search_of("embedding").uniform).top1_agreement is None
    assert search_of("one logit", labels=None).scorer.score(search_of("one logit").uniform).top1_agreement is not None


def test_outputs_that_are_not_kept_are_computed_again(monkeypatch):
    kept = search_of("pixels", labels=None)
    monkeypatch.setattr("mendsearch.mending.judges.KEPT_BYTES", 1000)
    anew = search_of("pixels", labels=None)
    assert anew.scorer._judge._kept is None
    for counts in (kept.uniform, kept.space.floor):
        assert anew.scorer.score(counts).value == pytest.approx(kept.scorer.score(counts).value, rel=1e-5)
    assert anew.scorer.refined_score(kept.uniform) == pytest.approx(kept.scorer.refined_score(kept.uniform), rel=1e-5)


@torch.no_grad()
def test_the_loss_of_pixels_with_their_labels():
    labels = build("pixels", seed=1)(IMAGES).argmax(1)
    search = search_of("pixels", labels=labels, score="loss")
    found, _ = outputs_of(search, search.uniform)
    assert search.scorer.refined_score(search.uniform) == pytest.approx(
        -float(functional.cross_entropy(found, labels)), rel=1e-4
    )
    agreed = float((found.argmax(1) == labels).float().mean())
    assert search.scorer.score(search.uniform).top1_agreement == pytest.approx(agreed, abs=0.02)


def test_labels_that_do_not_fit_are_refused_before_any_trial():
    with pytest.raises(DataError, match="do not fit: expected classes of shape"):
        search_of("pixels", score="loss")
    with pytest.raises(DataError, match=r"no built-in loss: got the outputs classes, boxes\.0"):
        search_of("two heads", score="loss")


def brightness(model, batch):
    """A metric that looks inside the network, with a hook, and at the labels."""
    images, labels = batch
    seen = []
    hook = model.coarse.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    outputs = model(images)
    hook.remove()
    assert seen[0].shape[1] == model.coarse[0].weight.shape[0]
    return outputs.amax((1, 2, 3)) + 0 * labels


@torch.no_grad()
def test_a_metric_is_given_the_candidate_and_the_labels():
    search = search_of("pixels", metric=brightness, score="tests.unit.mending.test_judges:brightness")
    found, dense = outputs_of(search, search.uniform)
    assert search.scorer.reference == "metric"
    assert search.scorer.refined_score(search.uniform) == pytest.approx(float(found.amax((1, 2, 3)).mean()), rel=1e-4)
    assert search.scorer.dense_score() == pytest.approx(float(dense.amax((1, 2, 3)).mean()), rel=1e-4)
    scored = search.scorer.score(search.uniform)
    assert scored.top1_agreement is None
    assert scored.losses.shape == (64,)
    assert not search.problem.model.coarse._forward_hooks


def test_a_metric_is_found_by_its_import_path():
    by_name = search_of("pixels", score="tests.unit.mending.test_judges:brightness")
    given = search_of("pixels", metric=brightness, score="tests.unit.mending.test_judges:brightness")
    assert by_name.scorer.score(by_name.uniform).value == given.scorer.score(by_name.uniform).value
    assert by_name.fingerprint() == given.fingerprint()
    with pytest.raises(SpecError, match="has no `darkness`"):
        search_of("pixels", score="tests.unit.mending.test_judges:darkness")


def test_early_stopping_works_on_the_values_of_a_metric():
    def likeness(model, batch):
        return -(model(batch) - dense(batch)).square().flatten(1).mean(1)

    dense = build("pixels")
    search = search_of("pixels", labels=None, metric=likeness, score="test:likeness")
    incumbent = search.scorer.score(search.pre_pruned)
    stopped = search.scorer.score(search.space.floor, incumbent)
    assert stopped.stopped
    assert len(stopped.losses) < len(incumbent.losses)
    assert stopped.value < incumbent.value


@pytest.mark.parametrize(
    ("metric", "got"),
    [
        (lambda model, batch: model(batch).mean(), r"a tensor \(\) for 8 items, expected a tensor"),
        (lambda model, batch: 0.5, "a float for 8 items, expected a tensor"),
        (lambda model, batch: model(batch).flatten(1).mean(1) / 0, "values that are not finite for the dense network"),
    ],
)
def test_a_metric_without_a_value_for_each_item_is_refused(metric, got):
    with pytest.raises(ModelError, match=f"the metric test:metric gives {got}"):
        search_of("pixels", labels=None, metric=metric, score="test:metric")


def test_outputs_that_are_not_finite_can_be_left_out():
    from mendsearch.config import Budget

    model = build("two heads")
    form = model.form
    model.form = lambda values: form(values) | {"mask": values[:, :2] / 0}
    with pytest.raises(ModelError, match="not finite \\(`mask`\\)"):
        build_problem(model, IMAGES, Budget(macs=0.5))
    build_problem(model, IMAGES, Budget(macs=0.5), outputs={"mask": "none"})
