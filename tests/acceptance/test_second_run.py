"""The second run is as easy as the first, and a failed start leaves nothing behind."""

import json

import pytest

from tests.acceptance.cli import mendsearch

SPEC = """
name = "{name}"
model = {{ name = "digits-resnet", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = 0.4
train.epochs = 2
mend.trials = 4
finetune.epochs = 0
"""


@pytest.mark.timeout(600)
def test_another_budget_makes_its_own_folder_and_reuses_what_it_can(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))

    def run(*words):
        ended = mendsearch("run", "spec.toml", *words, "--json", cwd=tmp_path, storage=storage)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout), ended.stderr

    first, said = run()
    assert "train:" in said
    second, said = run("--set", "budget.macs=0.3")
    assert second["search"] == f"{name}-macs-0.3"
    assert f"this one is `{name}-macs-0.3`, in runs/{name}-macs-0.3" in said
    assert f"dense weights of runs/{name} reused" in said
    assert f"ranking and statistics of runs/{name} reused" in said
    assert "train:" not in said
    assert second["dense"]["accuracy"] == first["dense"]["accuracy"]
    assert second["finalists"]["mended"]["macs"] <= 0.3 * first["dense"]["macs"]
    again, said = run("--set", "budget.macs=0.3", "--set", "mend.trials=2")
    assert again == second
    assert "2 trials were asked for, and this result is from 4: all of them count" in said
    tuned, said = run("--set", "finetune.epochs=1", "--set", "mend.trials=6")
    assert f"4 trials of search `{name}` reused: only the fine-tuning differs" in said
    assert tuned["trials"]["complete"] + tuned["trials"]["stopped_early"] == 6
    assert max(finalist["part"] for finalist in tuned["finalists"].values()) == 1.0
    third, said = run("--set", "seed=1")
    assert third["search"] == f"{name}-seed-1"
    assert "reused" not in said
    assert "train:" in said


def test_a_failed_start_claims_neither_folder_nor_name(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    before = sorted(tmp_path.iterdir())
    for change, code in (("budget.macs=0.0001", 2), ("train.learning_rate=1e30", 4)):
        ended = mendsearch("run", "spec.toml", "--set", change, cwd=tmp_path, storage=storage)
        assert ended.returncode == code, ended.stderr
    far = "postgresql://u:secret@127.0.0.1:1/db"
    assert mendsearch("run", "spec.toml", cwd=tmp_path, storage=far).returncode == 3
    assert sorted(tmp_path.iterdir()) in (
        before,
        [*before, tmp_path / "runs"][::-1],
        sorted([*before, tmp_path / "runs"]),
    )
    assert not (tmp_path / "runs" / name / "spec.json").exists()
    ended = mendsearch("run", "spec.toml", "--json", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["search"] == name
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "spec.toml").write_text(SPEC.format(name=name))
    ended = mendsearch("run", "spec.toml", "--set", "budget.macs=0.2", cwd=elsewhere, storage=storage)
    assert ended.returncode == 2
    assert "has another search of this name (budget.macs is 0.4 there, 0.2 here)" in ended.stderr
    assert "train:" not in ended.stderr
    assert not (elsewhere / "runs").exists()
