import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.fleet.synthetic import results_of, structure_of
from mendstore.records import FORMAT, RecordError, RunResult

ROOT = Path(__file__).parents[4]


@pytest.fixture
def stored():
    structure = structure_of(3)
    return results_of(structure, structure["uniform"], -0.1, "mine", 50)


def test_the_schema_of_result_json_is_up_to_date():
    made = subprocess.run(
        [sys.executable, "docs/make_schemas.py", "--print", "result.schema.json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert made.stdout == (ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"), (
        "run: python docs/make_schemas.py"
    )
    schema = json.loads(made.stdout)
    assert schema["properties"]["format"]["const"] == FORMAT


def test_what_is_written_is_what_was_given(stored):
    written = RunResult(**stored).written()
    assert written == stored
    assert json.loads(json.dumps(written, allow_nan=False)) == stored
    assert isinstance(written["mended"]["macs"], int)


def test_a_result_of_before_the_format_was_numbered_is_read(stored):
    for key in ("format", "test_images", "trials"):
        del stored[key]
    del stored["mended"]["accuracy_before"]
    result = RunResult.read(stored)
    assert (result.format, result.test_images, result.scored_trials) == (1, None, 0)
    assert list(result.rows) == ["dense", "uniform", "pre_pruned", "mended"]
    with pytest.raises(ValueError, match="lacks accuracy_before, format, test_images, trials"):
        result.written()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"format": 2}, "format"), ({"mended": {"accuracy": 1.0}}, "mended.macs"), ({"search": None}, "search")],
)
def test_what_is_no_result_of_this_format_is_refused_with_the_field(stored, changed, reason):
    with pytest.raises(RecordError, match=reason):
        RunResult.read(stored | changed)


def test_keys_of_a_newer_version_are_ignored(stored):
    assert RunResult.read(stored | {"energy": 1, "dense": stored["dense"] | {"bytes": 7}}) == RunResult.read(stored)
