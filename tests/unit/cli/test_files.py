"""A folder in the place of a file is refused, and nothing is left in or beside it."""

import pytest
from typer.testing import CliRunner

from mendsearch.cli import app
from mendsearch.files import write_text
from mendview.report import save


@pytest.mark.parametrize("words", [("report", "x", "-o"), ("export", "run", "--out")])
def test_a_folder_in_the_place_of_a_file_is_refused_before_any_work(inside, words):
    (inside / "folder").mkdir()
    ended = CliRunner().invoke(app, [*words, "folder"])
    assert ended.exit_code == 2
    assert f"{words[0]}: got the folder folder" in ended.stderr
    assert [path.name for path in inside.rglob("*")] == ["folder"]


@pytest.mark.parametrize("write", [save, write_text])
def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path, write):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="report"):
        write(tmp_path / "report.html", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
