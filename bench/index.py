"""The list of benchmarks, read from their files without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("accuracy", "cost", "fleet")


@dataclass(frozen=True)
class Benchmark:
    """A command that writes figures.

    Attributes:
        module: import path, such as `bench.accuracy.fidelity`.
        measures: first line of the module's docstring.
        takes: the module's constant `TAKES`, such as "15 minutes".
    """

    module: str
    measures: str
    takes: str

    @property
    def command(self) -> str:
        """Shell command, to be run from the root of the repository."""
        return f"python -m {self.module}"


def benchmarks(part: str) -> list[Benchmark]:
    """Benchmarks of one package, by name: its modules that say how long they take."""
    return list(_found(HERE / part, f"bench.{part}"))


def index() -> str:
    """All benchmarks as text: command, what it measures, how long it takes."""
    lines = ["From the root of the repository; every command has --help. Times are those of two CPU cores."]
    for part in PARTS:
        lines += ["", part.upper(), f"  {_docstring(HERE / part / '__init__.py')}"]
        for benchmark in benchmarks(part):
            lines += ["", f"  {benchmark.command}", f"    {benchmark.measures}", f"    Takes {benchmark.takes}."]
    plots = next(benchmark for benchmark in _found(HERE, "bench") if benchmark.module == "bench.plots")
    return "\n".join([*lines, "", f"{plots.command}: {plots.measures} Takes {plots.takes}."])


def _found(folder: Path, package: str) -> Iterator[Benchmark]:
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TAKES":
                yield Benchmark(f"{package}.{path.stem}", _docstring(path), ast.literal_eval(node.value))


def _docstring(path: Path) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
