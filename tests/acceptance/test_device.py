"""A profile and the finalists of a run, measured on a device that is another machine than the one of the search.

The budget is in time on two devices: that one, and this machine.
"""

import json
import shlex

import pytest

import mendstore
from tests.acceptance.cli import mendsearch
from tests.acceptance.test_hints import hints
from tests.integration.latency.device_workers import BOARD, device_worker

SPEC = """
name = "{name}"
model.name = "digits-resnet"
data.name = "digits"
train.epochs = 1
mend.trials = 2
finetune.epochs = 0

[[budget.device]]
name = "board"
latency_ms = "80%"
profile = "latency.json"

[[budget.device]]
name = "here"
latency_ms = "95%"
profile = "here.json"
"""


def timing_of(result, device):
    return json.loads(result.read_text())["timings"][f"latency_ms.{device}"]


@pytest.mark.timeout(900)
def test_from_a_profile_to_a_network_that_was_measured_on_the_device(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    mendstore.upgrade(storage)  # a device worker has no right to
    words = ("profile", "spec.toml", "--device", "--minutes", "0.3", "--error", "1")
    with device_worker(storage, name, tmp_path / "board"):
        made = mendsearch(*words, cwd=tmp_path, storage=storage)
        assert made.returncode == 0, made.stderr
    setting = json.loads((tmp_path / "latency.json").read_text())["setting"]
    assert (setting["device"], setting["runtime"], setting["threads"]) == (BOARD, "onnxruntime", 1)
    here = mendsearch("profile", "spec.toml", "--minutes", "0.5", "--error", "1", "--out", "here.json", cwd=tmp_path)
    assert here.returncode == 0, here.stderr

    alone = mendsearch("run", "spec.toml", cwd=tmp_path, storage=storage)
    assert alone.returncode == 0, alone.stderr
    (line,) = [line for line in alone.stderr.splitlines() if "predicted, not measured" in line]
    start, again = [hint for hint in hints(alone) if hint in line]
    assert start.startswith("mendsearch device ")
    result = tmp_path / "runs" / name / "result.json"
    assert timing_of(result, "board")["measured_ms"] == {}
    assert set(timing_of(result, "here")["measured_ms"]) == set(timing_of(result, "here")["predicted_ms"])

    url, served, *options = shlex.split(start)[2:]
    with device_worker(storage, served, tmp_path / "board", *options):
        measured = mendsearch(*shlex.split(again)[1:], cwd=tmp_path, storage=storage)
        assert measured.returncode == 0, measured.stderr
    assert mendstore.normalised(url) == mendstore.normalised(storage)
    timing = timing_of(result, "board")
    assert set(timing["measured_ms"]) == set(timing["predicted_ms"])
    for device in ("board", "here"):
        assert f"its latency on {device}: " in measured.stderr
    once_more = mendsearch(*shlex.split(again)[1:], cwd=tmp_path, storage=storage)
    assert timing_of(result, "board") == timing
    assert once_more.returncode == 0


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--device", "--runtime", "torch"), "got runtime 'torch', expected one that needs no PyTorch", 2),
        (("--device", "--input", "3x8x8"), "got --input, --exclude or --dtype with --device", 2),
        (("--device", "--wait", "0"), "no device worker has come within 0 min; start one: mendsearch device", 4),
    ],
)
def test_what_cannot_be_measured_is_one_line(tmp_path, storage, name, words, said, code):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    done = mendsearch("profile", "spec.toml", *words, cwd=tmp_path, storage=storage)
    assert done.returncode == code, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_device_worker_needs_its_runtime(tmp_path, storage, name):
    done = mendsearch("device", storage, name, "--runtime", "tensorrt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == ("error: device: got runtime 'tensorrt', expected one of onnxruntime, openvino")
