import copy
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import mendsearch
from tests.unit.mending.test_scoring import LABELS
from tests.zoo import IMAGES, build

CALL = {"budget": mendsearch.Budget(macs=0.4), "n_trials": 6, "quiet": True}
BOTH = TensorDataset(IMAGES, LABELS)


def test_a_live_network_comes_back_smaller_and_is_itself_untouched():
    model = build("residual").train()
    before = copy.deepcopy(model.state_dict())
    pruned = mendsearch.mend(model, calibration=IMAGES, validation=(IMAGES, LABELS), **CALL)
    assert type(pruned.model) is type(model)
    assert sum(p.numel() for p in pruned.model.parameters()) == pruned.params
    assert pruned.model(IMAGES).shape == (64, 4)
    assert len(pruned.study.trials) == 6
    assert pruned.score == pytest.approx(pruned.study.best_value, rel=0.1)
    assert pruned.keep_counts in [trial.user_attrs["keep_counts"] for trial in pruned.study.trials]
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "data",
    [DataLoader(BOTH, batch_size=10), BOTH, (IMAGES, LABELS)],
    ids=["loader", "dataset", "pair"],
)
def test_images_come_in_any_form_and_mean_the_same(data):
    expected = mendsearch.mend(build("residual"), calibration=IMAGES, validation=(IMAGES, LABELS), **CALL)
    found = mendsearch.mend(build("residual"), calibration=data, validation=data, **CALL)
    assert found.score == pytest.approx(expected.score, abs=1e-6)
    assert found.keep_counts == expected.keep_counts


def test_without_labels_the_search_runs_against_the_network_itself():
    images_only = DataLoader(TensorDataset(IMAGES), batch_size=16)
    pruned = mendsearch.mend(build("residual"), calibration=images_only, validation=images_only, **CALL)
    assert -5 < pruned.score < 0


def test_labels_out_of_range_are_refused():
    with pytest.raises(mendsearch.UsageError, match="out of range: got 0 to 9, expected 0 to 3"):
        mendsearch.mend(build("residual"), calibration=IMAGES, validation=(IMAGES, torch.arange(64) % 10), **CALL)


def test_what_is_no_image_is_refused():
    with pytest.raises(mendsearch.UsageError, match="validation: got a list of other things"):
        mendsearch.mend(build("residual"), calibration=IMAGES, validation=[1, 2], **CALL)
    with pytest.raises(mendsearch.UsageError, match="calibration: got no items of"):
        mendsearch.mend(build("residual"), calibration=IMAGES[:0], validation=IMAGES, **CALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "expected a torch.nn.Module"),
        ({"budget": 0.4}, r"got 0.4, expected mendsearch.Budget"),
        ({"n_trials": 0}, "n_trials: got 0"),
        ({"criterion": "L2"}, "got 'L2', expected one of gram"),
        ({"sampler": "cmaes"}, "got 'cmaes', expected one of mending"),
        ({"reconstruction": True}, "reconstruction: got True, expected one of sequence, channels, none"),
        ({"score": "accuracy"}, "score: got 'accuracy', expected one of agreement, loss"),
        ({"validation": IMAGES[:, :1]}, r"got inputs \(1, 8, 8\) float32, expected \(3, 8, 8\) float32"),
        ({"validation": IMAGES / 0}, "not finite"),
        ({"validation": (IMAGES, torch.rand(64, 4)), "score": "loss"}, "labels of shape"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(change, message):
    call = {"model": build("residual"), "calibration": IMAGES, "validation": IMAGES} | CALL | change
    with pytest.raises(mendsearch.UsageError, match=message):
        mendsearch.mend(call.pop("model"), **call)


def test_weights_that_are_not_finite_are_said_to_be():
    model = build("residual")
    model.fc.weight.data.fill_(torch.nan)
    with pytest.raises(mendsearch.UsageError, match="outputs are not finite"):
        mendsearch.mend(model, calibration=IMAGES, validation=IMAGES, **CALL)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:calibration")  # the network is untrained
def test_save_and_load_round_trip_in_a_fresh_process(tmp_path):
    model = mendsearch.models.registry.build_model("cifar-resnet", {"depth": 8, "width": 4}).eval()
    pruned = mendsearch.mend(model, calibration=IMAGES, validation=IMAGES, **CALL)
    mendsearch.save(pruned, tmp_path / "net", name="cifar-resnet", kwargs={"depth": 8, "width": 4})
    torch.save(IMAGES, tmp_path / "images.pt")
    script = (
        "import sys, torch, mendsearch; from safetensors.torch import save_file; "
        "net = mendsearch.load(sys.argv[1] + '/net'); "
        "images = torch.load(sys.argv[1] + '/images.pt', weights_only=True); "
        "save_file({'out': net(images).detach()}, sys.argv[1] + '/out.safetensors')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    from safetensors.torch import load_file

    torch.testing.assert_close(load_file(tmp_path / "out.safetensors")["out"], pruned.model(IMAGES))
