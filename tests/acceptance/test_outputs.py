"""Runs of networks that are no classifiers, by a spec, with modules of the user's own."""

import json

import pytest

from tests.acceptance.cli import mendsearch

MODULE = '''
import torch
from torch import nn
from torch.utils.data import TensorDataset

import mendsearch


def conv(channels_in, channels):
    return nn.Sequential(nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


class Net(nn.Module):
    """Classes of pixels, and with `heads` the brightness of the image too."""

    def __init__(self, heads=False):
        super().__init__()
        self.fine, self.coarse, self.joined = conv(3, 12), conv(12, 16), conv(28, 12)
        self.head, self.bright, self.heads = nn.Conv2d(12, 2, 1), nn.Linear(12, 1), heads

    def forward(self, x):
        fine = self.fine(x)
        coarse = nn.functional.interpolate(self.coarse(nn.functional.max_pool2d(fine, 2)), scale_factor=2.0)
        joined = self.joined(torch.cat([fine, coarse], 1))
        if not self.heads:
            return self.head(joined)
        return {"mask": self.head(joined), "bright": self.bright(joined.mean((2, 3)))}


def shapes():
    """Bright squares on a dark ground; the mask says where."""
    generator = torch.Generator().manual_seed(0)
    images = 0.5 * torch.randn(400, 3, 16, 16, generator=generator)
    masks = torch.zeros(400, 16, 16, dtype=torch.long)
    for image, mask, (top, left) in zip(images, masks, torch.randint(0, 8, (400, 2), generator=generator).tolist()):
        image[:, top : top + 8, left : left + 8] += 1
        mask[top : top + 8, left : left + 8] = 1
    train, test = TensorDataset(images[:300], masks[:300]), TensorDataset(images[300:], masks[300:])
    return mendsearch.DataSource(train, test, num_classes=None)


def loss(outputs, masks):
    mask = nn.functional.cross_entropy(outputs["mask"], masks)
    return mask + (outputs["bright"][:, 0] - masks.float().mean((1, 2))).square().mean()


def iou(model, batch):
    images, masks = batch
    outputs = model(images)
    found = (outputs["mask"] if isinstance(outputs, dict) else outputs).argmax(1)
    both, either = (found & masks).sum((1, 2)), (found | masks).sum((1, 2))
    return both / either.clamp_min(1)
'''
SPEC = """
name = "{name}"
model = {{ name = "usernet:Net", kwargs = {{ heads = {heads} }} }}
data = {{ name = "usernet:shapes", validation = 80, calibration = 128 }}
budget.macs = 0.4
train = {{ epochs = 4, batch_size = 32{loss} }}
finetune = {{ epochs = 2, batch_size = 32, learning_rate = 0.01{loss} }}
mend.trials = 10
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "usernet.py").write_text(MODULE)
    return tmp_path


def run(folder, storage, spec, *more):
    (folder / "spec.toml").write_text(spec)
    ended = mendsearch("run", "spec.toml", "--json", *more, cwd=folder, storage=storage)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_u_net_is_scored_and_measured_by_pixels(folder, storage, name):
    result = run(folder, storage, SPEC.format(name=name, heads="false", loss=""))
    assert result["metric"] is None
    assert 0.9 < result["dense"]["accuracy"] <= 1
    assert result["finalists"]["mended"]["accuracy"] > result["dense"]["accuracy"] - 0.03
    assert result["finalists"]["mended"]["score"] >= result["finalists"]["uniform"]["score"]


def test_two_heads_with_a_loss_of_ones_own_are_measured_by_agreement(folder, storage, name):
    result = run(folder, storage, SPEC.format(name=name, heads="true", loss=', loss = "usernet:loss"'))
    assert result["metric"] == "agreement"
    assert result["dense"]["accuracy"] is None
    assert result["dense"]["metric"] == pytest.approx(0, abs=1e-6)
    assert result["finalists"]["mended"]["metric"] < 0
    inspected = mendsearch("inspect", "spec.toml", "--json", cwd=folder)
    outputs = {output["name"]: output for output in json.loads(inspected.stdout)["outputs"]}
    assert (outputs["mask"]["divergence"], outputs["mask"]["shape"]) == ("kl", [2, 16, 16])
    assert outputs["bright"]["divergence"] == "bernoulli"
    printed = mendsearch("inspect", "spec.toml", cwd=folder).stdout
    assert "2 x 16 x 16" in printed


def test_a_metric_by_its_import_path_drives_workers(folder, storage, name):
    spec = SPEC.format(name=name, heads="true", loss=', loss = "usernet:loss"')
    spec += 'mend.score = "usernet:iou"\n[score.outputs]\nbright = { divergence = "squared", weight = 0.5 }\n'
    result = run(folder, storage, spec, "--workers", "2")
    assert result["metric"] == "usernet:iou"
    assert 0.5 < result["dense"]["metric"] <= 1
    assert result["finalists"]["mended"]["metric"] > 0.5
    assert result["trials"]["complete"] + result["trials"]["stopped_early"] == 10
    report = (folder / "runs" / name / "report.html").read_text()
    assert "test iou" in report


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": "true", "loss": ""}, "no built-in loss: got the outputs mask, bright"),
        ({"heads": "true", "loss": ', loss = "usernet:mse"'}, "module `usernet` has no `mse`"),
    ],
)
def test_a_loss_that_is_lacking_is_found_before_any_work(folder, storage, name, changes, message):
    (folder / "spec.toml").write_text(SPEC.format(name=name, **changes))
    ended = mendsearch("run", "spec.toml", cwd=folder, storage=storage)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "train:" not in ended.stderr
    assert "bright" in mendsearch("inspect", "spec.toml", cwd=folder).stdout
