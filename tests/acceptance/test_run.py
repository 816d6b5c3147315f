"""`run` and `inspect` on the examples, as the documents say."""

import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch

import mendsearch as package
from examples.user_model.net import make_network
from tests.acceptance.cli import mendsearch

EXAMPLES = Path(__file__).parents[2] / "examples"
FASHION = Path("/usr/share/datasets/fashion-mnist")


def test_a_network_and_data_of_ones_own(tmp_path, storage, name):
    shutil.copytree(EXAMPLES / "user_model", tmp_path / "user_model")
    changes = (
        "--set",
        f'name="{name}"',
        "--set",
        "train.epochs=3",
        "--set",
        "mend.trials=10",
        "--set",
        "model.kwargs.width=12",
    )
    ended = mendsearch("run", "user_model/shapes.toml", *changes, "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["trials"]["complete"] + result["trials"]["stopped_early"] == 10
    assert result["finalists"]["mended"]["score"] >= result["finalists"]["uniform"]["score"]
    model = package.load(tmp_path / "runs" / name / "model", model=make_network(width=12))
    exported = result["finalists"][result["exported"]]
    assert sum(parameter.numel() for parameter in model.parameters()) == exported["params"]
    depthwise = model.get_submodule("block1.body.3")
    assert depthwise.groups == depthwise.out_channels == exported["keep_counts"]["block1.body.0"]
    structure = json.loads((tmp_path / "runs" / name / "model" / "structure.json").read_text())
    assert structure["keep_counts"] == exported["keep_counts"]
    exported_by_name_alone(tmp_path, f"runs/{name}", model)
    for row in result["finalists"].values():
        if row["keep_counts"] == exported["keep_counts"]:
            assert row["lead"] is None
            continue
        ours, theirs = (len(one["validation"]) - 1 if one["part"] else 0 for one in (exported, row))
        if ours and theirs:
            ours = theirs = min(ours, theirs)
        assert row["lead"]["value"] == pytest.approx(exported["validation"][ours] - row["validation"][theirs])
        assert 0 <= row["lead"]["error"] < 0.05


def exported_by_name_alone(folder, run, model):
    refused = mendsearch("export", run, cwd=folder)
    factory = "user_model.net:make_network"
    assert refused.returncode == 2
    assert f"got the import path {factory}, which a folder must not run; try --model {factory}" in refused.stderr
    ended = mendsearch("export", run, "--model", factory, "--json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    written = json.loads(ended.stdout)
    assert (written["path"], written["inputs"], written["outputs"]) == (f"{run}/model.onnx", ["x"], ["output"])
    images = torch.randn(9, 1, 16, 16)
    (found,) = onnxruntime.InferenceSession(folder / run / "model.onnx").run(None, {"x": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(images).detach(), rtol=1e-3, atol=1e-4)


def test_inspect_says_what_can_go_and_why_the_rest_stays(tmp_path):
    ended = mendsearch("inspect", "--model", "torchvision:mobilenet_v2", "--input", "3x64x64", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert len(found["coupling_groups"]) == 25
    assert found["coupling_groups"][0]["channels"] == [1, 32]
    assert found["whole"] == {"classifier.1": "its channels are the network's output"}
    assert found["least"]["macs"] < found["dense"]["macs"]
    spec = mendsearch("inspect", str(EXAMPLES / "user_model" / "shapes.toml"), cwd=EXAMPLES)
    assert "block1.body.0, block1.body.3" in spec.stdout


def test_a_checkpoint_and_a_budget_of_parameters(tmp_path, storage, name):
    package.save(package.models.registry.build_model("digits-resnet", {"width": 8}), tmp_path / "dense")
    (tmp_path / "spec.toml").write_text(
        f'name = "{name}"\nmodel.name = "digits-resnet"\nmodel.kwargs.width = 8\n'
        'model.checkpoint = "dense/model.safetensors"\ndata.name = "digits"\nbudget.params = 0.5\n'
        "mend.trials = 5\nmend.sampler = 'random'\nmend.reconstruction = 'channels'\nrank.criterion = 'l1'\n"
        "prune.rule = 'uniform'\nfinetune.epochs = 0\n"
    )
    ended = mendsearch("run", "spec.toml", "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert "train:" not in ended.stderr
    assert result["finalists"]["mended"]["params"] <= 0.5 * result["dense"]["params"]
    assert result["finalists"]["uniform"]["keep_counts"] == result["finalists"]["pre_pruned"]["keep_counts"]


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed; CI installs it")
def test_the_fashion_mnist_example_reads_the_real_images(tmp_path):
    ended = mendsearch("inspect", str(EXAMPLES / "fashion-mnist.toml"), "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert len(found["coupling_groups"]) == 12
    assert 30e6 < found["dense"]["macs"] < 32e6


def test_without_fine_tuning_the_network_is_good_as_it_is(tmp_path, storage, name):
    """No labels are needed for the search and no training after it: `finetune.epochs = 0`."""
    (tmp_path / "spec.toml").write_text(
        f"name = '{name}'\nmodel = {{ name = 'digits-resnet', kwargs = {{ width = 8 }} }}\ndata.name = 'digits'\n"
        "budget.macs = 0.4\ntrain.epochs = 12\nmend.trials = 20\nfinetune.epochs = 0\n"
    )
    ended = mendsearch("run", "spec.toml", "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["finalists"]["mended"]["accuracy"] > result["dense"]["accuracy"] - 0.05
    assert result["finalists"]["mended"]["macs"] <= 0.4 * result["dense"]["macs"]


TUNING = """
import torch


def tune(model, part, seed):
    with open("calls.txt", "a") as calls:
        print(part, seed, sum(parameter.numel() for parameter in model.parameters()), file=calls)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.0 if part < 0.5 else 0.0)
    return model
"""


def test_fine_tuning_of_ones_own_serves_as_the_last_rungs(tmp_path, storage, name):
    """What the function gives is judged and exported; here the last half of it ruins the network."""
    ended = tuned_by(TUNING, tmp_path, storage, name, "train.epochs=6", "mend.trials=12")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    calls = [line.split() for line in (tmp_path / "calls.txt").read_text().splitlines()]
    distinct = {str(row["keep_counts"]) for row in result["finalists"].values()}
    assert [part for part, *_ in calls][: len(distinct)] == ["0.25"] * len(distinct)
    assert "0.5" in {part for part, *_ in calls}
    rows = result["finalists"].values()
    ruined = [row for row in rows if row["validation"][-1] < 0.3]
    assert ruined
    assert all((row["part"], row["accuracy"]) == (0.0, row["accuracy_before"]) for row in ruined)
    assert "kept as they were before it" in ended.stderr
    exported = result["finalists"][result["exported"]]
    stands = exported["validation"][-1 if exported["part"] else 0]
    assert stands == max(max(row["validation"][0], row["validation"][-1]) for row in rows)
    model = package.load(tmp_path / "runs" / name / "model")
    assert sum(parameter.abs().sum() for parameter in model.parameters()) > 0


@pytest.mark.parametrize(
    ("function", "reason", "work"),
    [
        (
            "def tune(model, part, seed):\n    return None\n",
            "got NoneType, expected the fine-tuned torch.nn.Module",
            True,
        ),
        (
            "import torch\n\ndef tune(model, part, seed):\n    return torch.nn.Conv2d(1, 2, 3)\n",
            "got another network, whose",
            True,
        ),
        ("tune = 3\n", "got int, expected a callable", False),
        ("", "module `tuning` has no `tune`", False),
    ],
)
def test_a_function_that_gives_no_network_is_refused_in_a_line(tmp_path, storage, name, function, reason, work):
    """Before any work, if it can be seen then."""
    ended = tuned_by(function, tmp_path, storage, name, "train.epochs=1", "mend.trials=5")
    assert ended.returncode == 2
    assert "tuning:tune" in ended.stderr
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ("train:" in ended.stderr) == work


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('boom')", "failed in a row, the last with RuntimeError: boom (tuning.py, line 2)"),
        ("[p.data.fill_(float('nan')) for p in model.parameters()]; return model", "got weights that are not finite"),
    ],
)
def test_a_function_that_always_fails_ends_the_run_with_its_reason(tmp_path, storage, name, body, reason):
    function = f"def tune(model, part, seed):\n    {body}\n"
    ended = tuned_by(function, tmp_path, storage, name, "train.epochs=1", "mend.trials=5")
    assert ended.returncode == 4
    assert reason in ended.stderr


def tuned_by(function, folder, storage, name, *changes):
    """A run on digits with this source of `tuning:tune`."""
    (folder / "tuning.py").write_text(function)
    (folder / "spec.toml").write_text(
        f"name = '{name}'\nmodel = {{ name = 'digits-resnet', kwargs = {{ width = 8 }} }}\ndata.name = 'digits'\n"
        "budget.macs = 0.4\nfinetune.function = 'tuning:tune'\n"
    )
    options = [part for change in changes for part in ("--set", change)]
    return mendsearch("run", "spec.toml", *options, "--json", cwd=folder, storage=storage)
