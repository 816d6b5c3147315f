import json

import pytest
import torch

import mendsearch
from mendsearch.errors import ModelError
from tests.zoo import IMAGES, build


@torch.no_grad()
def test_a_network_without_a_factory_is_loaded_into_the_dense_one(tmp_path):
    model = build("depthwise")
    mendsearch.save(model, tmp_path)
    torch.testing.assert_close(mendsearch.load(tmp_path, model=build("depthwise", seed=9))(IMAGES), model(IMAGES))
    with pytest.raises(ModelError, match=r"build the dense one and pass it"):
        mendsearch.load(tmp_path)


def test_a_folder_cannot_choose_what_code_runs(tmp_path):
    mendsearch.save(build("depthwise"), tmp_path, name="os:system", kwargs={"command": f"touch {tmp_path}/ran"})
    with pytest.raises(ModelError, match="build the dense one and pass it"):
        mendsearch.load(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["nothing there", "no json", "no weights", "other format", "wrong types"])
def test_a_folder_that_holds_no_network_gives_one_clear_line(tmp_path, damage):
    mendsearch.save(build("residual"), tmp_path, name="cifar-resnet")
    description = tmp_path / "model.json"
    if damage == "nothing there":
        description.unlink()
    elif damage == "no json":
        description.write_text("{")
    elif damage == "no weights":
        (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    elif damage == "other format":
        description.write_text(json.dumps(json.loads(description.read_text()) | {"format": 99}))
    else:
        description.write_text("[1]")
    with pytest.raises(ModelError) as caught:
        mendsearch.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path):
    mendsearch.save(build("residual"), tmp_path)
    with pytest.raises(ModelError, match="do not fit the network"):
        mendsearch.load(tmp_path, model=build("depthwise"))
