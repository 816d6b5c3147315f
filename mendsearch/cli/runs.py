"""The full pipeline: `demo`, `run`; and `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from mendsearch.cli.common import (
    Json,
    Out,
    SetKeys,
    SpecOrFolder,
    Storage,
    guarded,
    runs_of,
    show,
)
from mendsearch.cli.outcome import run_all
from mendsearch.errors import UsageError
from mendsearch.pipeline.budgets import chained, specs_in
from mendsearch.pipeline.demo import demo_spec
from mendview.tables import outputs_table, structure_table

Workers = Annotated[
    int,
    typer.Option(
        min=0,
        help="Number of processes that run trials and fine-tunings, on GPUs if there are any. Default: this process.",
    ),
]


@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("demo-out"),
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials that end with a score. Default: 150.")
    ] = None,
    storage: Storage = None,
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Run the full pipeline on scikit-learn's digits, in minutes on a CPU."""
    run_all([(demo_spec(trials), out)], storage, as_json, workers)


@guarded
def run(
    spec: SpecOrFolder,
    out: Out = None,
    storage: Storage = None,
    workers: Workers = 0,
    set_: SetKeys = None,
    as_json: Json = False,
) -> None:
    """Train, pre-prune, mend and fine-tune. Run it again to resume: no finished stage or trial is repeated.

    A limit of the budget may be a list, as in `--set 'budget.macs=[0.5, 0.3]'`: one run follows the other, each
    starting from the structures of the one before, and one table shows them all.
    """
    run_all(chained(runs_of(spec, out, set_)), storage, as_json, workers)


@guarded
def inspect(
    spec: Annotated[Path | None, typer.Argument(help="Spec file (TOML).")] = None,
    model: Annotated[str | None, typer.Option(help="Name of a network, instead of a spec.")] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]SHAPE[:DTYPE]",
            help="With --model: shape of one item, such as 3x224x224 (the default), 1024 or 128:int64; once for each "
            "argument of the network, with NAME= if it is given by keyword; [SHAPE] for a list of tensors.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="With --model: layer or pattern that keeps all its output channels.")
    ] = None,
    set_: SetKeys = None,
    as_json: Json = False,
) -> None:
    """Show a network's coupling groups, their channels and MACs, why other layers stay whole, and its outputs."""
    from mendsearch.pipeline.inspection import inspect_model, inspect_spec

    if (spec is None) == (model is None):
        raise UsageError("inspect: give a spec, such as mine.toml, or else --model NAME; see mendsearch inspect --help")
    if set_ and spec is None:
        raise UsageError("inspect: got --set without a spec, expected one whose keys it overrides; try --exclude")
    if spec is not None:
        found = inspect_spec(specs_in(spec, tuple(set_ or ()))[0])
    else:
        assert model is not None
        found = inspect_model(model, input_ or ["3x224x224"], tuple(exclude or ()))
    show(found, Group(structure_table(found), outputs_table(found)), as_json)
    if found["refused"] is not None:
        raise UsageError(found["refused"])
