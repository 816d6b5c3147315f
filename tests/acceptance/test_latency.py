"""Budgets in time, as a user gives them."""

import json

import pytest

from tests.acceptance.cli import mendsearch

SPEC = """
name = "timed"
model.name = "digits-resnet"
data.name = "digits"
train.epochs = 1
mend.trials = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a spec, and the profile of its network."""
    path = tmp_path_factory.mktemp("latency")
    (path / "spec.toml").write_text(SPEC + 'budget.latency_ms = "90%"\nbudget.profile = "latency.json"\n')
    made = mendsearch("profile", "spec.toml", "--minutes", "0.5", "--error", "1", cwd=path)
    assert made.returncode == 0, made.stderr
    assert "unseen ones the model errs by" in made.stdout
    return path


def test_a_profile_says_what_it_is_of(folder):
    profile = json.loads((folder / "latency.json").read_text())
    assert profile["setting"] | {"device": "", "versions": {}} == {
        "runtime": "torch", "device": "", "batch": 1, "threads": 1, "dtype": "float32", "versions": {},
    }  # fmt: skip
    assert profile["dense_ms"] > 0
    assert profile["model"]["held_out"] > 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budget.latency_ms=0.0001", "budget latency_ms=0.0001 cannot be met: one channel in every coupling group"),
        (
            "budget.profile=nowhere.json",
            "budget.profile: nowhere.json cannot be read; make it with `mendsearch profile",
        ),
        ("model.kwargs.width=8", "budget.profile: got the profile of another network"),
        ("budget.latency_ms=0%", "expected milliseconds, or more than 0% and at most 100%"),
        ('budget={latency_ms="50%"}', "`latency_ms` needs `profile`"),
        ('budget={latency_ms=1000, profile="latency.json"}', "is above the dense network's"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_one_line_and_exit_2(folder, override, words):
    done = mendsearch("run", "spec.toml", "--set", override, cwd=folder, storage="postgresql://nobody@localhost:1/none")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_runtime_that_is_not_there_is_one_line_and_exit_2(tmp_path):
    done = mendsearch("profile", "cifar-resnet", "--runtime", "tensorrt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: runtime tensorrt is not supported")
    assert len(done.stderr.strip().splitlines()) == 1
