import os

import pytest
import torch
from safetensors.torch import save_file

from mendsearch.errors import ModelError
from mendsearch.models.checkpoint import load_checkpoint
from tests.zoo import build


def same(first, second):
    return all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("form", ["safetensors", "pt", "nested", "tutorial", "parallel", "compiled"])
def test_weights_are_read_from_every_usual_form(tmp_path, form):
    trained, model = build("residual", seed=1), build("residual", seed=2)
    state = trained.state_dict()
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save(
            {
                "pt": state,
                "nested": {"epoch": 3, "state_dict": state},
                "tutorial": {
                    "optimizer_state_dict": {"state": {}},
                    "ema": {"x": torch.zeros(1)},
                    "model_state_dict": state,
                },
                "parallel": {f"module.{k}": v for k, v in state.items()},
                "compiled": {"model": {f"net._orig_mod.{k}": v for k, v in state.items()}},
            }[form],
            path,
        )
    load_checkpoint(model, path)
    assert same(trained, model)


def test_what_a_wrapped_checkpoint_lacks_is_named_alone(tmp_path):
    state = {f"module.{name}": tensor for name, tensor in build("residual").state_dict().items()}
    del state["module.fc.weight"]
    torch.save({"ema": {"fc.weight": torch.zeros(1)}, "net": state}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"it lacks `fc\.weight`; check"):
        load_checkpoint(build("residual"), tmp_path / "w.pt")


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="cannot be read as tensors alone"):
        load_checkpoint(build("residual"), tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_does_not_fit_names_what_differs_and_changes_nothing(tmp_path):
    model, untouched = build("residual"), build("residual")
    for damage, message in {
        "shape": r"fc\.weight: got \(9, 16\), expected \(4, 16\)",
        "lacking": "it lacks `conv1.weight`",
        "too much": "it holds `extra`, which the network lacks",
    }.items():
        state = build("residual", seed=3).state_dict()
        if damage == "shape":
            state["fc.weight"] = torch.zeros(9, 16)
        elif damage == "lacking":
            del state["conv1.weight"]
        else:
            state["extra"] = torch.zeros(1)
        save_file(state, tmp_path / "w.safetensors")
        with pytest.raises(ModelError, match=message):
            load_checkpoint(model, tmp_path / "w.safetensors")
        assert same(model, untouched)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "missing.pt"])
def test_a_file_that_is_no_checkpoint_gives_one_line(tmp_path, name):
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError) as caught:
        load_checkpoint(build("residual"), tmp_path / name)
    assert "\n" not in str(caught.value)
