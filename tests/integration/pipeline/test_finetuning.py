"""The finalists as a ladder left them, whichever release chose them."""

import pytest
from rich.console import Console

from mendsearch.config import parse_spec
from mendsearch.fleet import ladder
from mendsearch.mending.random import random_structures
from mendsearch.pipeline import stages
from mendsearch.progress import Reporter
from mendsearch.study.finalists import choose
from mendstore.records import RunResult
from mendview.tables import result_table

QUIET = Reporter(quiet=True)


@pytest.fixture
def run(tmp_path, storage, name, monkeypatch):
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "cache"))
    table = {
        "name": name, "model": {"name": "digits-resnet", "kwargs": {"width": 4}}, "data": {"name": "digits", "calibration": 64, "validation": 128},
        "budget": {"macs": 0.4}, "train": {"epochs": 1}, "mend": {"trials": 4}, "seed": 3,
        "finetune": {"epochs": 4, "images": 32, "batch_size": 16, "finalists": 1},
    }  # fmt: skip
    spec = parse_spec(table, "test")
    return spec, lambda: RunResult.read(stages.run_spec(spec, tmp_path / "out", storage, QUIET).result)


def printed(result):
    console = Console(width=200, record=True)
    console.print(result_table(result, 0.0))
    return console.export_text()


def test_the_random_structure_is_that_of_the_seed_and_is_fine_tuned_and_timed(run, monkeypatch):
    spec, finish = run
    seen = []
    monkeypatch.setattr(
        ladder, "choose", lambda study, search, *more: seen.append(search) or choose(study, search, *more)
    )
    result, [search] = finish(), seen
    row, (drawn,) = result.finalists["random"], random_structures(search.space, 1, spec.seed)
    assert row.keep_counts == search.problem.coupling.keep_counts(drawn)
    assert row.part >= 0.25
    assert len(row.validation) >= 2
    assert row.latency_ms > 0
    assert "random" in printed(result)


def test_a_ladder_without_a_random_structure_ends_in_a_result_without_one(run, monkeypatch):
    """As the release before chose the finalists."""

    def before(*given):
        return {name: found for name, found in choose(*given).items() if name != "random"}

    monkeypatch.setattr(ladder, "choose", before)
    result = run[1]()
    assert "random" not in result.finalists
    assert "random" not in printed(result)
    assert result.main_controls == ["pre_pruned", "uniform"]
