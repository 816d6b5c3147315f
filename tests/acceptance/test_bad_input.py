"""Bad input gets one clear line and exit 2, before any work is done."""

import json
from importlib import metadata

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.acceptance.cli import mendsearch

GOOD = {
    "name": "bad-input",
    "model.name": "digits-resnet",
    "data.name": "digits",
    "budget.macs": 0.3,
    "train.epochs": 1,
    "mend.trials": 2,
}
OWN = """
import torch
from torch import nn
import mendsearch

def linear(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

class HardCoded(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.shape = Reshape()
        self.fc = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.fc(self.shape(self.stem(x)))

class Reshape(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), 8, 64).mean(2)

def labels_too_high():
    part = mendsearch.ArrayDataset(torch.zeros(40, 1, 8, 8, dtype=torch.uint8), torch.arange(40) % 12, [0.5], [0.5])
    return mendsearch.DataSource(part, part, num_classes=10)

def two_shapes():
    parts = [mendsearch.ArrayDataset(torch.zeros(40, 1, n, n, dtype=torch.uint8), torch.arange(40) % 10, [0.5], [0.5]) for n in (8, 6)]
    return mendsearch.DataSource(*parts, num_classes=10)

def more_classes_than_outputs():
    part = mendsearch.ArrayDataset(torch.zeros(40, 1, 8, 8, dtype=torch.uint8), torch.arange(40) % 12, [0.5], [0.5])
    return mendsearch.DataSource(part, part, num_classes=12)
"""

CASES = {
    "unknown key": ({"mend.trails": 3}, "unknown key `mend.trails`"),
    "model that does not import": (
        {"model.name": "nowhere:make"},
        "error: nowhere:make does not import: No module named 'nowhere'",
    ),
    "unknown model": ({"model.name": "resnet18"}, "'resnet18' is unknown"),
    "checkpoint missing": ({"model.checkpoint": "none.pt"}, "checkpoint none.pt is missing"),
    "checkpoint that does not fit": ({"model.checkpoint": "other.safetensors"}, "does not fit the network"),
    "data folder missing": ({"data.name": "fashion-mnist", "data.path": "none"}, "data folder none is missing"),
    "data folder empty": ({"data.name": "folder", "data.path": "empty"}, "data folder empty is empty"),
    "labels out of range": (
        {"data.name": "own:labels_too_high"},
        "labels are out of range: got",
    ),
    "more classes than outputs": (
        {"data.name": "own:more_classes_than_outputs", "model.kwargs.num_classes": 10},
        "out of range",
    ),
    "image shape that the model refuses": ({"model.kwargs.in_channels": 3}, "refuses inputs (1, 8, 8) float32"),
    "budget of 0": ({"budget.macs": 0}, "budget.macs: got 0"),
    "budget above the dense cost": ({"budget.macs": 10**12}, "above the dense network's 763,520"),
    "budget below the least": (
        {"budget.macs": 0.0001},
        "cannot be met: one channel in every coupling group still costs",
    ),
    "nothing prunable": ({"model.name": "own:linear"}, "nothing in the network is prunable"),
    "forward fails once channels go": ({"model.name": "own:HardCoded"}, "fails once channels go, in `shape`"),
    "forward that refuses in its own way": (
        {"model.name": "torchvision:vit_b_16"},
        "refuses inputs (1, 8, 8) float32",
    ),
    "checkpoint that is text": ({"model.checkpoint": "junk.pt"}, "cannot be read as tensors alone"),
    "test images of another shape": ({"data.name": "own:two_shapes"}, "test inputs are (1, 6, 6) float32"),
    "more trials than can be meant": ({"mend.trials": 99999999999}, "mend.trials: got 99999999999"),
    "seed too large": ({"seed": 10**20}, "seed: got 1000"),
    "exclude that matches nothing": ({"prune.exclude": ["layer9"]}, "'layer9' matches no layer"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "own.py").write_text(OWN)
    (folder / "empty").mkdir()
    (folder / "junk.pt").write_text("hello")
    save_file({"conv1.weight": torch.zeros(1)}, folder / "other.safetensors")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_line_and_exit_2_before_any_work(folder, storage, case):
    change, message = CASES[case]
    spec = "\n".join(f"{key} = {json.dumps(value)}" for key, value in (GOOD | change).items())
    (folder / "spec.toml").write_text(spec)
    ended = mendsearch("run", "spec.toml", "--out", "out", "--json", cwd=folder, storage=storage)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stdout == ""
    assert not (folder / "out" / "dense.safetensors").exists()
    assert not (folder / "out" / "spec.json").exists()


def test_inspect_shows_what_a_budget_is_too_small_for(folder):
    bad = GOOD | {"budget.macs": 0.0001}
    (folder / "small.toml").write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in bad.items()))
    ended = mendsearch("inspect", "small.toml", cwd=folder)
    assert ended.returncode == 2
    assert "conv1" in ended.stdout
    assert ended.stderr.startswith("error: budget macs=0.0001 cannot be met")


def test_a_database_that_is_not_there_ends_with_3_and_no_password(folder):
    (folder / "good.toml").write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in GOOD.items()))
    ended = mendsearch("run", "good.toml", "--out", "far", cwd=folder, storage="postgresql://u:secret@127.0.0.1:1/db")
    assert ended.returncode == 3
    assert "refused" in ended.stderr
    assert "train:" not in ended.stderr
    assert "secret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_spec_in_the_same_folder_is_refused_and_nothing_is_lost(folder, storage):
    (folder / "good.toml").write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in GOOD.items()))
    first = mendsearch("run", "good.toml", "--out", "kept", "--json", cwd=folder, storage=storage)
    assert first.returncode == 0, first.stderr
    before = (folder / "kept" / "result.json").read_bytes()
    ended = mendsearch("run", "good.toml", "--out", "kept", "--set", "train.epochs=2", cwd=folder, storage=storage)
    assert ended.returncode == 2
    assert "train.epochs was 1, is 2" in ended.stderr
    assert (folder / "kept" / "result.json").read_bytes() == before
    for damaged in ("result.json", "dense.safetensors"):
        content = (folder / "kept" / damaged).read_bytes()
        (folder / "kept" / damaged).write_bytes(content[:20])
        ended = mendsearch("run", "good.toml", "--out", "kept", "--set", "mend.trials=3", cwd=folder, storage=storage)
        assert (ended.returncode, len(ended.stderr.strip().splitlines())) == (2, 1), ended.stderr
        assert damaged in ended.stderr
        (folder / "kept" / damaged).write_bytes(content)
    ended = mendsearch("run", "good.toml", "--out", "good.toml", cwd=folder, storage=storage)
    assert (ended.returncode, len(ended.stderr.strip().splitlines())) == (2, 1), ended.stderr
    assert mendsearch("delete", "bad-input", "--yes", cwd=folder, storage=storage).returncode == 0


def test_the_version_is_that_of_the_package(tmp_path):
    ended = mendsearch("--version", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, f"mendsearch {metadata.version('mendsearch')}\n")


def test_wrong_usage_ends_with_2(tmp_path):
    for arguments in (
        ("run",),
        ("inspect",),
        ("demo", "--trials", "0"),
        ("inspect", "--model", "cifar-resnet", "--input", "big"),
    ):
        ended = mendsearch(*arguments, cwd=tmp_path)
        assert ended.returncode == 2, arguments
        assert "Traceback" not in ended.stderr
    assert (
        np.array(
            [mendsearch(verb, "-h", cwd=tmp_path).returncode for verb in ("run", "demo", "inspect", "status")]
        ).sum()
        == 0
    )
