import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.errors import ModelError
from mendsearch.models.registry import build_model
from tests.zoo import IMAGES, build


@torch.no_grad()
def test_a_network_without_a_factory_is_loaded_into_the_dense_one(tmp_path):
    model = build("depthwise")
    mendsearch.save(nn.DataParallel(model), tmp_path)
    torch.testing.assert_close(mendsearch.load(tmp_path, model=build("depthwise", seed=9))(IMAGES), model(IMAGES))
    with pytest.raises(ModelError, match=r"build the dense one and pass it"):
        mendsearch.load(tmp_path)


@torch.no_grad()
def test_the_folder_of_a_run_is_as_good_as_that_of_its_network(tmp_path):
    model = build("depthwise")
    mendsearch.save(model, tmp_path / "model")
    torch.testing.assert_close(mendsearch.load(tmp_path, model=build("depthwise", seed=9))(IMAGES), model(IMAGES))


def test_a_folder_cannot_choose_what_code_runs(tmp_path):
    mendsearch.save(build("depthwise"), tmp_path, name="os:system", kwargs={"command": f"touch {tmp_path}/ran"})
    with pytest.raises(ModelError, match="build the dense one and pass it"):
        mendsearch.load(tmp_path)
    assert not (tmp_path / "ran").exists()


DAMAGE = ["nothing there", "no json", "no weights", "other format", "wrong types", "no structure", "wrong structure"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_holds_no_network_gives_one_clear_line(tmp_path, damage):
    mendsearch.save(build("residual"), tmp_path, name="cifar-resnet")
    description, structure = tmp_path / "model.json", tmp_path / "structure.json"
    if damage == "nothing there":
        description.unlink()
    elif damage == "no json":
        description.write_text("{")
    elif damage == "no weights":
        (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    elif damage == "other format":
        description.write_text(json.dumps(json.loads(description.read_text()) | {"format": 99}))
    elif damage == "no structure":
        structure.unlink()
    elif damage == "wrong structure":
        structure.write_text(json.dumps(json.loads(structure.read_text()) | {"widths": {"conv": 3}}))
    else:
        description.write_text("[1]")
    with pytest.raises(ModelError) as caught:
        mendsearch.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_of_the_structure_are_refused(tmp_path):
    mendsearch.save(build("residual"), tmp_path)
    mendsearch.save(build("depthwise"), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"is damaged: `conv1.weight`: got shape None, expected \[4, 3, 3, 3\]"):
        mendsearch.load(tmp_path, model=build("residual"))


class Net(nn.Module):
    """Settings that no tensor tells, and widths and depths that the tensors tell."""

    def __init__(self, width=8, blocks=1, groups=1, slope=0.1, norm=nn.BatchNorm2d, **conv):
        super().__init__()
        conv = {"padding": 1} | conv
        self.stem = nn.Conv2d(3, width, 3, **conv)
        self.norm = norm(width)
        self.act = nn.LeakyReLU(slope)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=groups) for _ in range(blocks))
        self.fc = nn.Linear(width, 4)

    def forward(self, x):
        x = self.pool(self.act(self.norm(self.stem(x))))
        for block in self.blocks:
            x = x + block(x).relu()
        return self.fc(x.mean((2, 3)))


OTHERS = {
    "stride": ({"stride": 2}, r"`stem`: got stride \[2, 2\], expected \[1, 1\]"),
    "dilation": ({"dilation": 2, "padding": 2}, r"`stem`: got dilation \[2, 2\], expected \[1, 1\]"),
    "padding": ({"padding": 0}, r"`stem`: got padding \[0, 0\], expected \[1, 1\]"),
    "padding mode": ({"padding_mode": "reflect"}, '`stem`: got padding_mode "reflect", expected "zeros"'),
    "groups": ({"groups": 2}, "`blocks.0`: got groups 2, expected 1"),
    "depthwise": ({"groups": 8}, '`blocks.0`: got groups "in_channels", expected 1'),
    "slope": ({"slope": 0.2}, "`act`: got negative_slope 0.2, expected 0.1"),
    "norm": ({"norm": nn.InstanceNorm2d}, "`norm`: got InstanceNorm2d, expected BatchNorm2d"),
    "width": ({"width": 6}, "`stem`: got 6 outputs, expected 8"),
    "depth": ({"blocks": 2}, r"it has a layer `blocks\.1`, which the pruned one lacks"),
    "shallow": ({"blocks": 0}, r"it has no layer `blocks\.0`"),
}


@pytest.fixture(scope="module")
def pruned():
    torch.manual_seed(0)
    budget = mendsearch.Budget(macs=0.5)
    return mendsearch.mend(Net().eval(), calibration=IMAGES, validation=IMAGES, budget=budget, n_trials=4, quiet=True)


@pytest.mark.filterwarnings("ignore:calibration")  # the network is untrained
@pytest.mark.parametrize("other", OTHERS)
def test_another_network_is_refused_in_one_line_that_says_what_differs(tmp_path, pruned, other):
    arguments, message = OTHERS[other]
    pruned.save(tmp_path)
    mendsearch.load(tmp_path, model=Net())
    with pytest.raises(ModelError, match=f"does not fit the network: {message}; give the dense network") as refused:
        mendsearch.load(tmp_path, model=Net(**arguments))
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelError, match=message):
        mendsearch.apply(Net(**arguments), pruned.structure)


@pytest.mark.filterwarnings("ignore:calibration")
@pytest.mark.parametrize("other", ["stride", "dilation", "groups", "depth"])
def test_so_it_is_where_the_dense_widths_are_not_known(tmp_path, pruned, other):
    mendsearch.save(pruned.model, tmp_path)
    mendsearch.load(tmp_path, model=Net())
    with pytest.raises(ModelError, match=OTHERS[other][1]):
        mendsearch.load(tmp_path, model=Net(**OTHERS[other][0]))
    with pytest.raises(ModelError, match=r"got shape \(1, 3, 3, 3\), expected \(.*\) or more"):
        mendsearch.load(tmp_path, model=Net(width=1))


@pytest.mark.filterwarnings("ignore:calibration")
@torch.no_grad()
def test_a_depthwise_convolution_keeps_a_group_a_channel(tmp_path):
    pruned = mendsearch.mend(
        build("depthwise"), calibration=IMAGES, validation=IMAGES, budget=mendsearch.Budget(macs=0.5), n_trials=4,
        quiet=True,
    )  # fmt: skip
    mendsearch.save(pruned.model, tmp_path / "plain")
    pruned.save(tmp_path / "pruned")
    for folder in ("plain", "pruned"):
        loaded = mendsearch.load(tmp_path / folder, model=build("depthwise", seed=3))
        torch.testing.assert_close(loaded(IMAGES), pruned.model(IMAGES))


@pytest.mark.filterwarnings("ignore:calibration")
@torch.no_grad()
def test_what_was_fine_tuned_is_what_is_saved(tmp_path, pruned):
    tuned = mendsearch.apply(Net().eval(), pruned.structure)
    replace(pruned, model=tuned).save(tmp_path)
    torch.testing.assert_close(mendsearch.load(tmp_path, model=Net())(IMAGES), tuned(IMAGES))
    assert json.loads((tmp_path / "model.json").read_text())["macs"] == pruned.macs


def test_a_network_by_name_needs_no_code(tmp_path):
    model = build_model("cifar-resnet", {"depth": 8, "width": 4})
    mendsearch.save(model, tmp_path, name="cifar-resnet", kwargs={"depth": 8, "width": 4})
    assert mendsearch.load(tmp_path).state_dict().keys() == model.state_dict().keys()
    mendsearch.save(model, tmp_path, name="cifar-resnet", kwargs={"depth": 14, "width": 4})
    with pytest.raises(ModelError, match="it has a layer"):
        mendsearch.load(tmp_path)
