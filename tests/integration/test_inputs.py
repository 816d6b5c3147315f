"""A run from training to export, of a network of two inputs whose data only a function takes apart."""

from mendsearch.artifacts import load
from mendsearch.config import parse_spec
from mendsearch.pipeline.stages import run_spec
from mendsearch.progress import Reporter
from tests.cases.inputs import IMAGES, NOTES, Two


def test_a_network_of_two_inputs_is_trained_pruned_fine_tuned_and_exported(tmp_path, storage, name):
    table = {
        "name": name, "model": {"name": "tests.cases.inputs:Two"}, "budget": {"macs": 0.5},
        "data": {"name": "tests.cases.inputs:two_inputs", "batch": "tests.cases.inputs:apart"},
        "train": {"epochs": 12, "batch_size": 16}, "mend": {"trials": 2}, "finetune": {"epochs": 1, "batch_size": 16},
    }  # fmt: skip
    result = run_spec(parse_spec(table, "test"), tmp_path, storage, Reporter(quiet=True)).result
    exported = result["finalists"][result["exported"]]
    assert exported["macs"] <= 0.5 * result["dense"]["macs"]
    assert result["dense"]["accuracy"] > 0.3  # chance is 0.2
    assert exported["latency_ms"] > 0
    assert load(tmp_path / "model", model=Two())(IMAGES, NOTES).shape == (64, 5)
