"""Several budgets in one command: trained and ranked once, one search after the other, one table; resumed like a run."""

import json
import signal
import time

import pytest

from tests.acceptance.cli import mendsearch, start, trials_of

SPEC = """
name = "{name}"
model = {{ name = "digits-resnet", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = [0.5, 0.3]
train.epochs = 2
mend.trials = 6
finetune.epochs = 0
"""


@pytest.mark.timeout(600)
def test_a_list_of_budgets_is_one_command(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))

    def run(*words):
        ended = mendsearch("run", "spec.toml", *words, cwd=tmp_path, storage=storage)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout, ended.stderr

    first = start("run", "spec.toml", cwd=tmp_path, storage=storage)
    while not (second := trials_of(storage, f"{name}-macs-0.3")) and first.poll() is None:
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    assert first.returncode in (0, 128 + signal.SIGTERM), said
    assert second, said
    assert said.count("train: 2/2") == 1, said
    assert f"ranking and statistics of runs/{name}-macs-0.5 reused" in said

    table, said = run()
    assert "train:" not in said
    assert table.count("budgets") == 1
    assert table.index(f"{name}-macs-0.5") < table.index(f"{name}-macs-0.3")
    spec = json.loads((tmp_path / "runs" / f"{name}-macs-0.3" / "spec.json").read_text())
    assert spec["mend"]["warm_start"] == f"{name}-macs-0.5"

    text, said = run("--json")
    results = json.loads(text)["budgets"]
    assert [result["search"] for result in results] == [f"{name}-macs-0.5", f"{name}-macs-0.3"]
    for result, part in zip(results, (0.5, 0.3), strict=True):
        assert result["finalists"][result["exported"]]["macs"] <= part * result["dense"]["macs"]
    assert results[0]["dense"]["accuracy"] == results[1]["dense"]["accuracy"]

    text, _ = run("--json", "--set", "budget.macs=[0.5, 0.3, 0.2]")
    assert json.loads(text)["budgets"][:2] == results


def test_a_budget_that_cannot_be_met_is_found_before_the_first_search(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    ended = mendsearch("run", "spec.toml", "--set", "budget.macs=[0.5, 1e-6]", cwd=tmp_path, storage=storage)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: budget macs=1e-06 cannot be met")
    assert not (tmp_path / "runs").exists()


def test_create_registers_each_budget(tmp_path, storage, name):
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    ended = mendsearch("create", "spec.toml", "--out", "both", cwd=tmp_path, storage=storage)
    assert ended.returncode == 0, ended.stderr
    for part in ("0.5", "0.3"):
        assert f"search `{name}-macs-{part}` is registered for 6 trials" in ended.stdout
        assert (tmp_path / "both" / f"{name}-macs-{part}" / "search.json").is_file()
