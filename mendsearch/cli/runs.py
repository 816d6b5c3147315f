"""The full pipeline: `demo`, `run`; and `inspect`."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

import mendstore
from mendsearch.cli.common import (
    Json,
    Out,
    SetKeys,
    SpecOrFolder,
    Storage,
    guarded,
    look_up,
    run_of,
    show,
    stoppable,
    storage_of_folder,
)
from mendsearch.config import Spec, load_spec
from mendsearch.errors import UsageError
from mendsearch.importing import is_import_path
from mendsearch.pipeline.demo import demo_spec
from mendsearch.progress import Reporter
from mendsearch.stopping import Stopping
from mendstore import Reader
from mendstore.records import RunResult
from mendview.tables import outputs_table, result_table, structure_table
from mendview.verdict import chosen

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
    _run(demo_spec(trials), out, storage, as_json, workers)


@guarded
def run(
    spec: SpecOrFolder,
    out: Out = None,
    storage: Storage = None,
    workers: Workers = 0,
    set_: SetKeys = None,
    as_json: Json = False,
) -> None:
    """Train, pre-prune, mend and fine-tune. Run it again to resume: no finished stage or trial is repeated."""
    loaded, folder = run_of(spec, out, set_)
    _run(loaded, folder, storage, as_json, workers)


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
        raise UsageError("inspect: got both or neither of a spec and --model; give one of them")
    if set_ and spec is None:
        raise UsageError("inspect: got --set without a spec, expected one whose keys it overrides; try --exclude")
    if spec is not None:
        found = inspect_spec(load_spec(spec, tuple(set_ or ())))
    else:
        assert model is not None
        found = inspect_model(model, input_ or ["3x224x224"], tuple(exclude or ()))
    show(found, Group(structure_table(found), outputs_table(found)), as_json)


def _run(spec: Spec, out: Path, storage: str | None, as_json: bool, workers: int) -> None:
    reporter = Reporter()
    with stoppable(reporter) as stopping:
        _run_to_the_end(spec, out, storage, as_json, workers, reporter, stopping)


def _run_to_the_end(
    spec: Spec, out: Path, storage: str | None, as_json: bool, workers: int, reporter: Reporter, stopping: Stopping
) -> None:
    from mendsearch.pipeline import stages
    from mendsearch.pipeline.timing import CORRECTED

    url = storage_of_folder(out, storage)
    outcome = stages.finished(spec, out, url)
    if outcome is None:
        outcome = stages.run_spec(spec, out, url, reporter, workers, stopping)
        _publish(spec.name, url)
        _report(spec.name, url, out / "report.html")
    else:
        _look_again(spec, url, out / "report.html", outcome.result, reporter)
    result, shown = RunResult.read(outcome.result), mendstore.without_password(url)
    show(outcome.result, result_table(result, outcome.dense_score), as_json)
    reporter.say(chosen(result)[1])
    reporter.say(f"in {out}: result.json, report.html, model/ (mendsearch.load)")
    reporter.say(f"export it: {_export_command(out, result.model.name)}")
    if (out / CORRECTED).is_file():
        again = ("--set", f"budget.profile={out / CORRECTED}", "--set", f"mend.warm_start={spec.name}")
        reporter.say(f"go on with the latency model corrected: {_run_command(out, shown, *again)}")
    reporter.say(f"study `{spec.name}`: optuna-dashboard '{shown}'")
    reporter.say(f"watch it: {mendstore.command('dashboard', url)}")
    if mendstore.EmbeddedServer(mendstore.EMBEDDED).url == shown:
        stop = mendstore.command("db stop")
        reporter.say(f"the embedded database keeps running for the dashboard; `{stop}` stops it")


def _run_command(out: Path, shown: str, *words: str) -> str:
    """The command that runs a folder's spec again, changed, in the same database."""
    place = () if mendstore.EmbeddedServer(mendstore.EMBEDDED).url == shown else ("--storage", shown)
    return mendstore.command("run", None, str(out), *place, *words)


def _export_command(out: Path, model: str) -> str:
    """The command that exports a run: as ONNX where that is installed."""
    form = () if find_spec("onnxscript") else ("--format", "pt2")
    code = ("--model", model) if is_import_path(model) else ()
    return mendstore.command("export", None, str(out), *form, *code)


def _look_again(spec: Spec, url: str, report: Path, result: dict[str, Any], reporter: Reporter) -> None:
    """Say if the search has more trials than the finished run, or this more than asked; make the report if missing."""
    name, asked = spec.name, spec.mend.trials
    if (had := result["trials"]["complete"] + result["trials"]["stopped_early"]) > asked:
        reporter.say(f"{asked} trials were asked for, and this result is from {had}: all of them count")
    with contextlib.suppress(mendstore.StorageError):  # the result is in the folder, whatever the database says
        trials, counted = look_up(url, name)[0].trials, result["trials"]
        done = counted["complete"] + counted["stopped_early"]
        if trials > done:
            reporter.say(
                f"the search has {trials} trials now, but this result is from {done}; to choose among all: "
                f"--set mend.trials={trials}"
            )
        if not report.is_file():  # the run ended between result and report
            _report(name, url, report)


def _publish(name: str, url: str) -> None:
    """Put the figures of a search into its study, for those who open it in Optuna Dashboard."""
    import optuna

    from mendview.publish import publish

    database = mendstore.Database(url)
    publish(optuna.load_study(study_name=name, storage=mendstore.MendStorage(database)), url)
    database.close()


def _report(name: str, url: str, path: Path) -> None:
    from mendview.report import report_named, save

    reader = Reader(url)
    text = reader.read(lambda snapshot: report_named(snapshot, name))
    reader.close()
    if text is not None:
        save(path, text)
