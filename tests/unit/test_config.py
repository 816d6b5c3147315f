import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mendsearch.config import Budget, load_spec, parse_spec
from mendsearch.errors import SpecError

SMALLEST = {"name": "a", "model": {"name": "digits-resnet"}, "data": {"name": "digits"}, "budget": {"macs": 0.4}}
DEVICE = {"name": "board", "latency_ms": 8, "profile": "board.json"}


def test_the_smallest_spec_is_valid():
    spec = parse_spec(SMALLEST, "here")
    assert (spec.mend.trials, spec.mend.sampler, spec.rank.criterion, spec.seed) == (100, "mending", "gram", 0)


@pytest.mark.parametrize("missing", SMALLEST)
def test_a_missing_key_is_named(missing):
    with pytest.raises(SpecError, match=f"spec here: key `{missing}` is missing"):
        parse_spec({key: value for key, value in SMALLEST.items() if key != missing}, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 1}, "unknown key `speed`; docs/spec.md lists the keys"),
        ({"mend": {"trails": 3}}, "unknown key `mend.trails`"),
        ({"mend": {"sampler": "cmaes"}}, "mend.sampler: got 'cmaes', expected 'mending', 'tpe' or 'random'"),
        ({"budget": {"macs": 0}}, "budget.macs: got 0, expected greater than 0"),
        ({"budget": {}}, "a budget needs `macs`, `params`, `latency_ms`"),
        ({"budget": {"device": [DEVICE, DEVICE]}}, "budget.device: got [{'name': 'board'"),
        ({"budget": {"device": [DEVICE | {"name": "a board"}]}}, "budget.device.0.name: got 'a board'"),
        (
            {"budget": {"device": [DEVICE | {"latency_ms": "0%"}]}},
            "expected milliseconds, such as 8, or a text such as",
        ),
        ({"budget": {"device": [{"name": "board", "latency_ms": 8}]}}, "key `budget.device.0.profile` is missing"),
        ({"name": "no/slash"}, "name: got 'no/slash'"),
        ({"prune": {"floor": 1.5}}, "prune.floor: got 1.5"),
        (
            {"mend": {"score": "accuracy"}},
            "mend.score: got 'accuracy', expected agreement, loss or package.module:function",
        ),
        ({"mend": {"score": "metrics:"}}, "mend.score: got 'metrics:', expected package.module:function"),
        ({"train": {"loss": "mse"}}, "train.loss: got 'mse', expected package.module:function"),
        ({"score": {"outputs": {"aux": "mse"}}}, "score.outputs.aux.divergence: got 'mse', expected 'kl'"),
        ({"score": {"outputs": {"aux": {"divergence": "kl", "wieght": 2}}}}, "unknown key `score.outputs.aux.wieght`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, message):
    with pytest.raises(SpecError) as caught:
        parse_spec(SMALLEST | change, "here")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_divergence_is_a_name_or_a_table():
    table = {"outputs": {"aux": "none", "mask": {"divergence": "kl", "axis": 2, "weight": 0.4}}}
    outputs = parse_spec(SMALLEST | {"score": table}, "here").score.outputs
    assert (outputs["aux"].divergence, outputs["aux"].weight) == ("none", 1)
    assert (outputs["mask"].divergence, outputs["mask"].axis, outputs["mask"].weight) == ("kl", 2, 0.4)


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('name = "a"\nmodel.name = "digits-resnet"\ndata.name = "digits"\nbudget.macs = 0.4\n')
    spec = load_spec(path, ("mend.trials=7", "model.kwargs.width=8", "model.checkpoint=w.safetensors"))
    assert spec.mend.trials == 7
    assert spec.model.kwargs == {"width": 8}
    assert spec.model.checkpoint == Path("w.safetensors")
    for override in ("trials", "name.x=1"):
        with pytest.raises(SpecError, match=f"--set {override}"):
            load_spec(path, (override,))


@pytest.mark.parametrize("content", [None, "name = ", b"\xff\xfe"])
def test_a_file_that_is_no_spec_is_refused(tmp_path, content):
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError, match=r"spec .*spec\.toml"):
        load_spec(path)


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Budget(macs=0.4).macs = 0.5


def test_the_document_of_the_spec_is_up_to_date():
    made = subprocess.run([sys.executable, "docs/make_spec.py", "--print"], capture_output=True, text=True, check=True)
    assert made.stdout == Path("docs/spec.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(Path("examples").rglob("*.toml")), ids=str)
def test_the_examples_are_valid(path):
    load_spec(path)
