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
    assert isinstance(written["finalists"]["mended"]["macs"], int)


@pytest.fixture
def of_format_1(stored):
    """As the release before wrote it: three networks, all of them with the whole fine-tuning."""
    rows = stored.pop("finalists")
    for row in rows.values():
        del row["part"], row["validation"], row["lead"], row["accuracy_error"]
    del stored["exported"], stored["best"], stored["validation_images"], stored["timings"]
    del stored["dense"]["accuracy_error"]
    return stored | rows | {"format": 1}


def test_a_result_of_the_format_before_is_read(of_format_1):
    result = RunResult.read(of_format_1)
    assert list(result.rows) == ["dense", "uniform", "pre_pruned", "mended"]
    assert (result.exported, result.winner.part, result.validation_images) == ("mended", 1.0, None)
    assert result.winner.accuracy == of_format_1["mended"]["accuracy"]


def test_a_result_of_when_a_budget_had_one_device_is_read(stored):
    del stored["timings"]
    assert RunResult.read(stored | {"timing": None}).timings == {}
    timing = {
        "setting": {}, "profile": "1", "error": 0.04, "asked_ms": 8.0, "predicted_ms": {"dense": 9.0}, "met": False
    }  # fmt: skip
    result = RunResult.read(stored | {"timing": timing})
    assert (list(result.timings), result.met, result.times_ms) == (["latency_ms"], False, {"dense": 9.0})


@pytest.mark.parametrize(
    ("met", "all_met"),
    [((), None), ((True, True), True), ((True, False), False), ((None, False), False), ((True, None), None)],
)
def test_a_network_meets_its_budget_where_it_meets_each_limit_in_time(stored, met, all_met):
    timing = {"setting": {}, "profile": "1", "error": 0.04, "asked_ms": 8.0, "predicted_ms": {}}
    timings = {f"latency_ms.{number}": timing | {"met": one} for number, one in enumerate(met)}
    assert RunResult.read(stored | {"timings": timings}).met is all_met


@pytest.mark.parametrize(
    ("best", "lead", "met", "gave_way", "mistimed"),
    [
        (None, -0.5, True, False, False),
        ("uniform", -0.5, True, False, False),
        ("mended", -0.5, True, True, True),
        ("mended", -0.015, True, False, False),
        ("mended", -0.015, False, False, True),
        ("mended", None, True, True, True),
    ],
)
def test_a_network_gives_way_where_it_is_clearly_better_and_too_slow(stored, best, lead, met, gave_way, mistimed):
    timing = {"setting": {}, "profile": "1", "error": 0.04, "asked_ms": 8.0, "predicted_ms": {}, "met": met}
    stored["finalists"]["mended"]["lead"] = None if lead is None else {"value": lead, "error": 0.01, "part": 1.0}
    changed = {"exported": "uniform", "best": best, "timings": {"latency_ms": timing}}
    result = RunResult.read(stored | changed)
    assert (result.gave_way, result.mistimed) == (gave_way, mistimed)


def test_a_result_of_before_the_format_was_numbered_is_read(of_format_1):
    for key in ("format", "test_images", "trials"):
        del of_format_1[key]
    del of_format_1["mended"]["accuracy_before"]
    result = RunResult.read(of_format_1)
    assert (result.test_images, result.scored_trials) == (None, 0)
    with pytest.raises(
        ValueError,
        match=r"lacks accuracy_before, accuracy_error, .*best, lead, .*part, .*test_images, timings, trials, validation",
    ):
        result.written()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 3}, "format"),
        ({"finalists": {"mended": {"accuracy": 1.0}}}, "finalists.mended.macs"),
        ({"exported": "mended_7"}, "finalist `mended_7` is missing"),
        ({"search": None}, "search"),
    ],
)
def test_what_is_no_result_of_this_format_is_refused_with_the_field(stored, changed, reason):
    with pytest.raises(RecordError, match=reason):
        RunResult.read(stored | changed)


def test_keys_of_a_newer_version_are_ignored(stored):
    assert RunResult.read(stored | {"energy": 1, "dense": stored["dense"] | {"bytes": 7}}) == RunResult.read(stored)


def test_a_result_without_a_random_structure_is_read(stored):
    """As of a search whose finalists the release before chose."""
    assert RunResult.read(stored).main_controls == ["pre_pruned", "uniform", "random"]
    older = RunResult.read(stored | {"finalists": {n: row for n, row in stored["finalists"].items() if n != "random"}})
    assert older.main_controls == ["pre_pruned", "uniform"]
    assert older.controls == ["uniform", "pre_pruned"]
    without = {name: row for name, row in stored["finalists"].items() if name != "uniform"}
    with pytest.raises(RecordError, match="finalist `uniform` is missing"):
        RunResult.read(stored | {"finalists": without})
