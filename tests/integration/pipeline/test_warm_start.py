"""A search of another budget begins with what an earlier one found."""

import json

from tests.acceptance.cli import mendsearch

SPEC = """
name = "{name}"
model.name = "digits-resnet"
model.kwargs.width = 8
data.name = "digits"
train.epochs = 1
budget.macs = {macs}
mend.trials = {trials}
mend.early_stopping = false
finetune.epochs = 0
"""


def test_a_second_budget_starts_from_the_best_of_the_first(storage, name, tmp_path):
    (tmp_path / "first.toml").write_text(SPEC.format(name=name, macs=0.5, trials=12))
    (tmp_path / "second.toml").write_text(SPEC.format(name=f"{name}-2", macs=0.3, trials=14))

    def run(*words):
        return mendsearch("run", *words, "--json", cwd=tmp_path, storage=storage)

    warm = ("--set", f'mend.warm_start="{name}"')
    refused = run("second.toml", *warm)
    assert refused.returncode == 2
    assert f"mend.warm_start = '{name}': no search `{name}` in" in refused.stderr
    assert "train" not in refused.stderr, "it is found before any work"
    assert run("first.toml").returncode == 0
    ended = run("second.toml", *warm)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["trials"]["complete"] == 14
    assert result["finalists"]["mended"]["macs"] <= 0.3 * result["dense"]["macs"]
