"""The notebook, the tutorial and the README, run as they are written, with fewer trials."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.acceptance.cli import ENVIRONMENT, mendsearch

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w.]+\.(?:py|toml))`[^`\n]*:\n\n```\w+\n(.*?)```", re.DOTALL)


def fewer(code):
    """The same code with fewer trials, epochs and training images."""
    for given, less in (
        (r"n_trials=\d+", "n_trials=3"),
        (r"epochs=\d+", "epochs=1"),
        (r"\[1100, 250, 447\]", "[200, 60, 1537]"),
        (r"validation = 250", "validation = 60"),
    ):
        code = re.sub(given, less, code)
    return code


def python(file, cwd):
    ended = subprocess.run(
        [sys.executable, file], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # the kernel's own
def test_the_notebook_runs_and_is_committed_without_outputs(tmp_path):
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    for cell in notebook.cells:
        cell.source = re.sub(r"n_trials=\d+", "n_trials=5", cell.source)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(out.text for cell in notebook.cells for out in cell.get("outputs", ()) if "text" in out)
    dense, tuned = (float(re.search(rf"{what}: ([\d.]+)%", printed)[1]) for what in ("dense", "pruned and fine-tuned"))
    assert dense > 90
    assert tuned > dense - 10
    assert (tmp_path / "pruned" / "structure.json").exists()


@pytest.mark.timeout(600)  # several processes, each of which imports PyTorch
def test_the_tutorial_from_python_and_from_the_command_line(tmp_path, storage):
    files = dict(NAMED.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")))
    assert set(files) == {"own.py", "prune.py", "own.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(fewer(text))
    assert re.search(r"fine-tuned [\d.]+% at [\d,]+ MACs", python("prune.py", tmp_path))
    assert (tmp_path / "pruned.onnx").stat().st_size > 10_000
    small = ("--set", "mend.trials=3", "--set", "finetune.epochs=0")
    for line in (
        ("run", "own.toml", *small),
        ("export", "runs/own", "--model", "own:network"),
    ):
        ended = mendsearch(*line, cwd=tmp_path, storage=storage)
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "runs" / "own" / "model.onnx").exists()


PRELUDE = """
import own
import torch
from torch.utils.data import DataLoader

train_loader, held_out_loader, _ = (DataLoader(part, 64) for part in own.digits())


def fine_tune(model):
    assert isinstance(model, torch.nn.Module)
"""


def test_the_python_of_the_readme(tmp_path):
    tutorial = dict(NAMED.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")))
    (tmp_path / "own.py").write_text(fewer(tutorial["own.py"]))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert 'torchvision.models.resnet18(weights="DEFAULT")' in blocks[0]
    code = fewer("\n".join(blocks)).replace('torchvision.models.resnet18(weights="DEFAULT")', "own.network().eval()")
    (tmp_path / "readme.py").write_text(PRELUDE + code)
    python("readme.py", tmp_path)
    assert (tmp_path / "pruned" / "structure.json").exists()
    assert (tmp_path / "pruned.onnx").stat().st_size > 10_000
