"""A budget in time from Python: finalists are measured, and the search goes on where all are too slow."""

import pytest
import torch

import mendsearch
from mendsearch.models.resnet import ResNet

pytestmark = pytest.mark.filterwarnings("ignore::mendsearch.CalibrationWarning")  # the weights are untrained

torch.manual_seed(0)
MODEL = ResNet(depth=8, width=32, in_channels=3).eval()
IMAGES = torch.randn(64, 3, 16, 16)


@pytest.fixture(scope="module")
def profile():
    return mendsearch.profile(MODEL, IMAGES, minutes=3, target=1, quiet=True)


def mended(profile, latency_ms, **more):
    budget = mendsearch.Budget(latency_ms=latency_ms, profile=profile)
    return mendsearch.mend(MODEL, calibration=IMAGES, validation=IMAGES, budget=budget, n_trials=3, **more)


def changed(profile, **model):
    return profile.model_copy(update={"model": profile.model.model_copy(update=model)})


def test_finalists_are_measured_where_the_profile_was_made(profile):
    pruned = mended(profile, "95%")
    timing = pruned.timings["latency_ms"]
    assert timing.measured_ms.keys() == timing.predicted_ms.keys() >= {"dense", "uniform", "pre_pruned", "mended"}
    assert timing.most_ms == pytest.approx(0.95 * timing.measured_ms["dense"])
    assert pruned.met is timing.met is True


def test_elsewhere_they_are_predicted_and_it_is_said(profile, capsys):
    board = profile.model_copy(update={"setting": profile.setting.model_copy(update={"device": "a board"})})
    pruned = mended(board, "80%")
    assert "times are predicted, not measured: the profile has device 'a board', not" in capsys.readouterr().err
    assert (pruned.timings["latency_ms"].measured_ms, pruned.met) == ({}, None)
    assert pruned.timings["latency_ms"].predicted_ms[pruned.chosen] <= pruned.timings["latency_ms"].asked_ms


def test_where_all_are_too_slow_the_search_goes_on_with_the_model_corrected(profile, capsys):
    hopeful = changed(profile, coefficients=tuple(0.6 * value for value in profile.model.coefficients))
    pruned = mended(hopeful, "60%", name="mine")
    said = capsys.readouterr().err
    assert "the search goes on with the latency model corrected" in said
    assert pruned.study.study_name.startswith("mine-corrected")
    dense = pruned.timings["latency_ms"].predicted_ms["dense"]
    assert dense > 1.2 * 0.6 * profile.dense_ms


def worth(model, batch):
    """What fine-tuning made of a network, or minus its error where it was not fine-tuned."""
    if hasattr(model, "worth"):
        return torch.full((len(batch),), model.worth)
    return -(model(batch) - MODEL(batch)).square().mean(1)


def quick(images):
    """Outputs of a network that takes no time."""
    return torch.zeros(len(images), 10)


def test_a_control_that_is_fast_enough_and_clearly_worse_does_not_end_the_search(profile, capsys):
    first = iter([True])

    def tuned(model, part, seed):
        """The first network is made fast, the others better."""
        model.worth = 2.0
        if next(first, False):
            model.worth, model.forward = 1.0, quick
        return model

    hopeful = changed(profile, coefficients=tuple(0.8 * value for value in profile.model.coefficients))
    mended(hopeful, "60%", finetune=tuned, score=worth)
    said = capsys.readouterr().err
    assert "is the best that meets the budget" in said
    assert "is too slow: the search goes on with the latency model corrected" in said


def test_a_network_that_is_fast_enough_stays_where_the_search_that_goes_on_finds_only_worse_ones(profile, capsys):
    first, said = iter([True]), []

    def tuned(model, part, seed):
        """The first network is made fast, the others better; those of the search that goes on are behind it."""
        said.append(capsys.readouterr().err)
        model.worth = 0.5 if any("the search goes on" in each for each in said) else 2.0
        if next(first, False):
            model.worth, model.forward = 1.0, quick
        return model

    hopeful = changed(profile, coefficients=tuple(0.8 * value for value in profile.model.coefficients))
    pruned = mended(hopeful, "60%", finetune=tuned, score=worth, name="mine")
    assert any("the search goes on with the latency model corrected" in each for each in said)
    assert "as good or better, and fast enough: it stays" in capsys.readouterr().err + "".join(said)
    assert (pruned.study.study_name, pruned.met) == ("mine", True)


def test_where_the_corrected_model_says_that_it_cannot_be_met_the_first_result_stands(profile, capsys):
    hopeful = changed(profile, coefficients=tuple(0.001 * value for value in profile.model.coefficients))
    pruned = mended(hopeful, profile.dense_ms * 0.02, name="mine")
    assert "with the latency model corrected, budget latency_ms=" in capsys.readouterr().err
    assert (pruned.study.study_name, pruned.met) == ("mine", False)


def test_networks_are_measured_as_the_callers_fine_tuning_left_them(profile):
    def slowed(model, part, seed):
        """Four passes for one, which no latency model can know of."""
        model.register_forward_pre_hook(lambda network, inputs: [network.forward(*inputs) for _ in range(3)] and None)
        return model

    pruned = mended(profile, "80%", finetune=slowed, quiet=True)
    assert pruned.met is False
    measured = pruned.timings["latency_ms"].measured_ms
    assert measured[pruned.chosen] > 1.5 * measured["dense"]
