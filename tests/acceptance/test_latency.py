"""Budgets in time, as a user gives them."""

import json
import re

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
        ("budget.latency_ms=0%", "expected milliseconds, such as 8, or a text such as"),
        ('budget={latency_ms="50%"}', "`latency_ms` needs `profile`"),
        ('budget={latency_ms=1000, profile="latency.json"}', "is above the dense network's"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_one_line_and_exit_2(folder, override, words):
    done = mendsearch("run", "spec.toml", "--set", override, cwd=folder, storage="postgresql://nobody@localhost:1/none")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def hope(folder, factor):
    """Write a profile that says of all times a fraction."""
    profile = json.loads((folder / "latency.json").read_text())
    hopeful = [factor * value for value in profile["model"]["coefficients"]]
    (folder / "hopeful.json").write_text(json.dumps(profile | {"model": profile["model"] | {"coefficients": hopeful}}))


@pytest.mark.timeout(600)
def test_a_search_goes_on_with_the_model_corrected_where_all_networks_are_too_slow(folder, storage, name):
    hope(folder, 0.6)  # by it the dense network meets 85%, so that what is measured is 15% above, whatever the noise
    words = ("--set", f"name={name}", "--set", "budget.profile=hopeful.json", "--set", "finetune.epochs=0")
    words = (*words, "--set", "budget.latency_ms=85%")
    done = mendsearch("run", "spec.toml", *words, "--json", cwd=folder, storage=storage)
    assert done.returncode == 0, done.stderr
    assert f"no network meets its latency: the search goes on as `{name}-corrected`" in done.stderr
    first = json.loads((folder / "runs" / name / "result.json").read_text())["timings"]["latency_ms"]
    assert first["met"] is False
    assert first["measured_ms"].keys() == first["predicted_ms"].keys() == first["layers_ms"].keys()
    assert all(sum(first["layers_ms"][key].values()) <= ms for key, ms in first["predicted_ms"].items())
    assert first["asked_ms"] * first["pace"] == pytest.approx(0.85 * first["measured_ms"]["dense"])
    correction = json.loads((folder / "runs" / name / "latency.json").read_text())["model"]["correction"]
    assert 1.2 < correction < 2.5
    last = json.loads(done.stdout)
    assert last["search"].startswith(f"{name}-corrected")
    assert last["timings"]["latency_ms"]["predicted_ms"]["dense"] > 1.2 * first["predicted_ms"]["dense"]
    again = mendsearch("run", "spec.toml", *words, "--json", cwd=folder, storage=storage)
    assert json.loads(again.stdout) == last
    _fast_enough_and_better(folder / "runs" / name / "result.json")
    kept = mendsearch("run", "spec.toml", *words, "--json", cwd=folder, storage=storage)
    assert json.loads(kept.stdout)["search"] == name, kept.stderr
    assert f"the network of `{name}` is as good or better, and fast enough: it stays the result" in kept.stderr


def _fast_enough_and_better(file):
    """Change a result to one whose network is fast enough, behind another that is not, and ahead of any later one."""
    result = json.loads(file.read_text())
    result["timings"]["latency_ms"]["met"] = True
    result["best"] = next(name for name in result["finalists"] if name != result["exported"])
    result["finalists"][result["best"]]["lead"] = {"value": -0.5, "error": 0.01, "part": 1.0}
    result["finalists"][result["exported"]]["validation"] = [2.0]
    file.write_text(json.dumps(result))


TWO = """
[[budget.device]]
name = "eager"
latency_ms = "90%"
profile = "latency.json"

[[budget.device]]
name = "deployed"
latency_ms = "95%"
profile = "deployed.json"
"""


@pytest.mark.timeout(600)
def test_a_budget_in_two_runtimes_is_measured_in_both(folder, storage, name):
    words = ("profile", "spec.toml", "--runtime", "onnxruntime", "--out", "deployed.json")
    made = mendsearch(*words, "--minutes", "0.5", "--error", "1", cwd=folder)
    assert made.returncode == 0, made.stderr
    (folder / "two.toml").write_text(SPEC + "finetune.epochs = 0\n" + TWO)
    done = mendsearch("run", "two.toml", "--set", f"name={name}", cwd=folder, storage=storage)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "runs" / name / "result.json").read_text())
    assert result["budget"]["given"] == {"latency_ms.eager": 0.9, "latency_ms.deployed": 0.95}
    for device in ("eager", "deployed"):
        timing = result["timings"][f"latency_ms.{device}"]
        assert timing["measured_ms"].keys() == {"dense", *result["finalists"]}
        words = "meets" if timing["met"] else "does not meet"
        assert f"network {words} its latency on {device}: " in done.stderr
    page = (folder / "runs" / name / "report.html").read_text()
    assert "Time by layer on eager" in page
    assert "Measured against predicted time on deployed" in page


@pytest.fixture
def below_the_fastest(folder):
    """A latency that no network meets, and a profile by which some would; what the fastest takes, and the words."""
    refused = mendsearch(
        "run", "spec.toml", "--set", "budget.latency_ms=0.0001", cwd=folder, storage="postgresql://nobody@host:1/none"
    )
    least = float(re.search(r"still costs \S+ ms, (\S+)% of the dense", refused.stderr)[1])
    hope(folder, 0.7 * (1 + least / 100) / 2)
    return least, f"{0.7 * least:.0f}%", ("--set", "budget.profile=hopeful.json", "--set", "finetune.epochs=0")


@pytest.mark.timeout(600)
def test_where_the_corrected_model_says_that_none_is_fast_enough_the_first_network_stays(
    folder, storage, name, below_the_fastest
):
    least, asked, words = below_the_fastest
    words = (*words, "--set", f"name={name}", "--set", f'budget.latency_ms=["{asked}", "95%"]')
    done = mendsearch("run", "spec.toml", *words, "--json", cwd=folder, storage=storage)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["budgets"]
    assert (first["search"], first["timings"]["latency_ms"]["met"]) == (
        f"{name}-latency_ms-{asked.removesuffix('%')}-percent",
        False,
    )
    (line,) = [line for line in done.stderr.splitlines() if "and by the latency model corrected all are" in line]
    took = first["timings"]["latency_ms"]["measured_ms"][first["exported"]]
    assert f"the exported network stays, {took:.3g} ms measured: budget latency_ms={asked} cannot be met" in line
    said = float(re.search(r"still costs \S+ ms, (\S+)% of the dense", line)[1])
    assert said == pytest.approx(least, rel=0.25)
    assert not list((folder / "runs").glob(f"{first['search']}-corrected*"))
    assert (folder / "runs" / first["search"] / "model").is_dir()
    assert second["search"].startswith(f"{name}-latency_ms-95-percent"), "the later budget has its run"
    again = mendsearch("run", "spec.toml", *words, "--json", cwd=folder, storage=storage)
    assert (again.returncode, json.loads(again.stdout)) == (0, json.loads(done.stdout))
    assert line in again.stderr.splitlines()


@pytest.mark.timeout(600)
def test_after_the_last_correction_no_command_is_said_that_would_be_refused(folder, storage, name, below_the_fastest):
    _, asked, words = below_the_fastest
    words = (*words, "--set", f"name={name}-corrected-3", "--set", f"budget.latency_ms={asked}")
    done = mendsearch("run", "spec.toml", *words, cwd=folder, storage=storage)
    assert done.returncode == 0, done.stderr
    assert "and by the latency model corrected all are" in done.stderr
    assert "to search with the model corrected" not in done.stderr


def test_a_runtime_that_is_not_there_is_one_line_and_exit_2(tmp_path):
    done = mendsearch("profile", "cifar-resnet", "--runtime", "tensorrt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: runtime tensorrt is not supported")
    assert len(done.stderr.strip().splitlines()) == 1
