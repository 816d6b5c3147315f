"""`export` of folders: what it needs, in one line and exit 2, before any work is done."""

import pytest

import mendsearch as package
from mendsearch.models.registry import build_model
from tests.acceptance.cli import mendsearch
from tests.zoo import build

CASES = {
    "no folder": ("nowhere", "error: nowhere holds no pruned network: it has no model.json; give the folder of"),
    "no name": ("nameless", "error: export nameless: got no name of the network; try --model package.module:factory"),
    "no inputs": (
        "without-inputs",
        "got no shape of the network's inputs; try mendsearch.export(model, path, example)",
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    package.save(build("residual"), folder / "nameless")
    model = build_model("digits-resnet", {"width": 4})
    package.save(model, folder / "without-inputs", name="digits-resnet", kwargs={"width": 4})
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_folder_that_cannot_be_exported_gives_one_line(folders, case):
    name, message = CASES[case]
    ended = mendsearch("export", name, cwd=folders)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not list(folders.rglob("*.onnx"))


def test_the_format_is_one_of_two(folders):
    ended = mendsearch("export", "nameless", "--format", "tflite", cwd=folders)
    assert ended.returncode == 2
    assert "tflite" in ended.stderr
