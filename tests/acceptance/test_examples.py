"""The examples of segmentation and detection, by the commands of their pages, with fewer images, epochs and trials."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import mendsearch as package
from bench.without_code import run_without_code
from examples.detection.net import Detector
from examples.drawn import draw
from examples.segmentation.net import UNet
from mendsearch.coupling.nesting import tensors_in
from tests.acceptance.cli import mendsearch

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORKS = {"segmentation": UNet, "detection": Detector}
OUTPUTS = {"segmentation": {"output": "kl"}, "detection": {"classes": "bernoulli", "boxes": "squared"}}
FEWER = {
    "segmentation": ("train.epochs=4", "data.kwargs.train=240", "data.kwargs.test=40"),
    "detection": ("train.epochs=4", "data.kwargs.train=500", "data.kwargs.test=40"),
}
SMALL = ("data.validation=40", "data.calibration=48", "mend.trials=6", "finetune.images=64", "finetune.finalists=1")


def commands(example):
    page = (EXAMPLES / example / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [shlex.split(line)[1:] for line in block.splitlines()]


@pytest.mark.parametrize("example", NETWORKS)
def test_the_commands_of_the_page(tmp_path, storage, example):
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    changes = [part for change in (*SMALL, *FEWER[example]) for part in ("--set", change)]
    found = {}
    for verb, *arguments in commands(example):
        more = changes if verb in ("run", "inspect") else []
        ended = mendsearch(verb, *arguments, *more, "--json", cwd=tmp_path, storage=storage)
        assert ended.returncode == 0, ended.stderr
        found[f"{verb} {arguments[-1]}"] = json.loads(ended.stdout)
    inspected, result, onnx, pt2 = found.values()
    assert {output["name"]: output["divergence"] for output in inspected["outputs"]} == OUTPUTS[example]
    rows = result["finalists"]
    assert result["metric"].startswith(f"examples.{example}.metric:")
    assert result["dense"]["metric"] > 0.1
    assert rows["mended"]["metric_before"] > 0.5 * result["dense"]["metric"]
    assert rows["mended"]["score"] >= rows["uniform"]["score"]
    assert rows["mended"]["macs"] <= 0.4 * result["dense"]["macs"]
    model, images = package.load(tmp_path / "runs" / example / "model", model=NETWORKS[example]()), draw(7, 2).images
    for written in (onnx, pt2):
        outputs = run_without_code(tmp_path / written["path"], images, tmp_path)
        with torch.no_grad():
            wanted = list(tensors_in(model(images)))
        assert len(outputs) == len(OUTPUTS[example])
        torch.testing.assert_close(outputs, wanted, rtol=1e-3, atol=1e-4)
