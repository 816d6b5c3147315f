"""`mendsearch.mend` of networks that are no classifiers, and a metric of the user's own."""

import pytest
import torch

import mendsearch
from tests.unit.mending.test_judges import brightness
from tests.unit.test_api import CALL, LABELS
from tests.zoo import IMAGES, OUTPUTS, build

pytestmark = pytest.mark.filterwarnings("ignore:calibration")  # the networks are untrained


def mend(name, **call):
    return mendsearch.mend(build(name), **({"calibration": IMAGES, "validation": IMAGES} | CALL | call))


@pytest.mark.parametrize("criterion", ["gram", "taylor"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_network_with_outputs_of_any_form_comes_back_smaller(name, criterion):
    pruned = mend(name, criterion=criterion)
    values = [trial.value for trial in pruned.study.trials]
    assert len(set(values)) > 1
    assert max(values) < 0
    assert pruned.score >= max(values) - 0.2 * abs(max(values))
    assert pruned.macs <= 0.4 * mend_dense_macs(name)
    shapes = [[leaf.shape for leaf in tensors(model(IMAGES))] for model in (pruned.model, build(name))]
    assert shapes[0] == shapes[1]
    divergences = pruned.study.best_trial.user_attrs["divergences"]
    assert -sum(divergences.values()) / len(divergences) == pytest.approx(pruned.study.best_value, rel=1e-4)


def mend_dense_macs(name):
    from mendsearch.mending.search import build_problem

    problem = build_problem(build(name), IMAGES, CALL["budget"])
    return problem.limits.costs.cost(problem.coupling.widths)["macs"]


def tensors(outputs):
    from mendsearch.outputs import leaves_of

    return list(leaves_of(outputs).values())


def test_the_user_says_how_outputs_are_compared():
    plain = mend("two heads")
    classes = mend("two heads", score_outputs={"boxes.0": "none"})
    assert classes.study.best_trial.user_attrs["divergences"].keys() == {"classes"}
    assert "top1_agreement" in classes.study.best_trial.user_attrs
    own = mend("two heads", score_outputs={"classes": lambda found, dense: (found - dense).abs().sum(1)})
    assert len({plain.study.best_value, classes.study.best_value, own.study.best_value}) == 3
    with pytest.raises(mendsearch.UsageError, match="got 'logits', expected one of classes"):
        mend("two heads", score_outputs={"logits": "kl"})


@pytest.mark.parametrize("score", [brightness, "tests.unit.mending.test_judges:brightness"])
def test_a_metric_of_ones_own_drives_the_search(score):
    pruned = mend("pixels", validation=(IMAGES, LABELS), score=score, n_trials=10)
    values = [trial.value for trial in pruned.study.trials]
    assert max(values) > 0
    with torch.no_grad():
        assert pruned.score == pytest.approx(float(pruned.model(IMAGES).amax((1, 2, 3)).mean()), rel=1e-4)
    assert pruned.score >= max(values) - 0.05
    assert all("top1_agreement" not in trial.user_attrs for trial in pruned.study.trials)


def test_labels_may_be_maps():
    masks = build("pixels", seed=1)(IMAGES).argmax(1)
    pruned = mend("pixels", validation=(IMAGES, masks), score="loss")
    assert -3 < pruned.score < 0
    with pytest.raises(mendsearch.UsageError, match="out of range: got 7 to 9, expected 0 to 2"):
        mend("pixels", validation=(IMAGES, masks + 7), score="loss")


@pytest.mark.parametrize("score", ["accuracy", None, 3])
def test_a_score_that_is_none_is_refused(score):
    with pytest.raises(mendsearch.UsageError, match="expected one of agreement, loss, package"):
        mend("pixels", score=score)
