"""The list of benchmarks is complete, and its commands start."""

from __future__ import annotations

import importlib
import sys

import pytest

from bench.files import ROOT
from bench.index import PARTS, benchmarks, index

ALL = [benchmark for part in PARTS for benchmark in benchmarks(part)]
STARTED_BY_BENCHMARKS = {"bench.cost.one_search", "bench.fleet.delay_proxy", "bench.fleet.worker"}


def test_every_module_with_a_command_is_listed() -> None:
    commands = {
        f"bench.{path.parent.name}.{path.stem}"
        for part in PARTS
        for path in (ROOT / "bench" / part).glob("*.py")
        if "\ndef main()" in path.read_text()
    }
    assert {benchmark.module for benchmark in ALL} == commands - STARTED_BY_BENCHMARKS


def test_every_file_of_figures_has_a_benchmark_that_writes_it() -> None:
    sources = "".join((ROOT / f"{benchmark.module.replace('.', '/')}.py").read_text() for benchmark in ALL)
    for path in (ROOT / "bench" / "results").glob("*.json"):
        assert f'"{path.stem}"' in sources, path.name


def test_index_names_command_purpose_and_duration() -> None:
    lines = [line.strip() for line in index().splitlines()]
    for benchmark in ALL:
        at = lines.index(benchmark.command)
        assert lines[at + 1 : at + 3] == [benchmark.measures, f"Takes {benchmark.takes}."]
        assert benchmark.measures


@pytest.mark.parametrize("module", [benchmark.module for benchmark in ALL] + ["bench.plots"])
def test_help_of_every_command(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main()
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
