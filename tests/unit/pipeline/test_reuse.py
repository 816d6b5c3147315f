"""Other runs are asked for what they have; one that is damaged has nothing."""

import pytest

from mendsearch.files import write_json
from mendsearch.pipeline.reuse import _key_of, _runs


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"train": 3}', '{"train": {"key": null}}', '{"train": {"seconds": 1}}']
)
def test_a_run_that_is_damaged_or_older_has_nothing(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    assert _key_of(tmp_path, "train") is None


def test_runs_beside_are_found_the_latest_first_and_not_the_run_itself(inside):
    for name in ("a", "b", "own"):
        write_json(inside / "runs" / name / "stages.json", {"train": {"key": name}})
    (inside / "runs" / "empty").mkdir()
    found = list(_runs(inside / "runs" / "own"))
    assert sorted(folder.name for folder in found) == ["a", "b"]
    assert _key_of(found[0], "train") == found[0].name
