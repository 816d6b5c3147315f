"""The command line: one subcommand a verb. It parses, calls, and prints; it computes nothing.

Exit codes: 0 done; 2 wrong usage, spec or data; 3 the database cannot be reached; 4 the search failed; 128+n ended by
signal n with nothing lost: run the same command again to go on.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import optuna
import typer
from rich.console import Console

import mendstore
from mendsearch.config import Spec, load_spec
from mendsearch.demo import demo_spec
from mendsearch.errors import MendsearchError, ModelError, UsageError
from mendsearch.progress import Reporter
from mendview.report import write_report
from mendview.tables import result_table, structure_table, studies_table

app = typer.Typer(
    name="mendsearch",
    help="Find the smaller dense network that fits a budget at the best accuracy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
db = typer.Typer(help="The embedded Postgres of this folder.", no_args_is_help=True)
app.add_typer(db, name="db")

EMBEDDED = Path(".mendsearch")
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; progress goes to stderr.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="MENDSEARCH_STORAGE",
        help="postgresql://… study database; without it an embedded Postgres under .mendsearch/.",
    ),
]


P = ParamSpec("P")


# Threads of PyTorch that wait by spinning slow every other process of the machine, and each other, several times over.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn expected errors into one line on stderr and their exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (MendsearchError, mendstore.StorageError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            reason = (str(error) or type(error).__name__).splitlines()[-1]
            print(f"error: {reason}; check the path, its rights, and the space left", file=sys.stderr)
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            if importlib.util.find_spec("torch") is not None:
                raise
            print(f"error: this command needs PyTorch: {error}; pip install 'mendsearch[torch]'", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("interrupted; nothing is lost: run the same command again to go on", file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None

    return run


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the run makes.")] = Path("demo-out"),
    trials: Annotated[int | None, typer.Option(min=1, help="Trials that end with a score; 150 without it.")] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """The whole main job on scikit-learn's real handwritten digits, on a CPU, in minutes."""
    _run(demo_spec(trials), out, storage, as_json)


@app.command()
@guarded
def run(
    spec: Annotated[Path, typer.Argument(help="TOML file; docs/spec.md lists its keys.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything that the run makes; runs/NAME without it.")
    ] = None,
    storage: Storage = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key, such as mend.trials=200.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, pre-prune, mend and fine-tune. Run again it goes on: no finished stage or trial is done twice."""
    loaded = load_spec(spec, tuple(set_ or ()))
    _run(loaded, out or Path("runs") / loaded.name, storage, as_json)


@app.command()
@guarded
def inspect(
    spec: Annotated[Path | None, typer.Argument(help="TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="A model by name, instead of a spec.")] = None,
    input_: Annotated[str, typer.Option("--input", help="Shape of an image, CxHxW.")] = "3x224x224",
    exclude: Annotated[list[str] | None, typer.Option(help="Layer, or pattern, that keeps its channels.")] = None,
    as_json: Json = False,
) -> None:
    """Coupling groups, channel ranges and MACs of a network; for each layer that stays whole, why."""
    from mendsearch.inspection import inspect_model, inspect_spec

    if (spec is None) == (model is None):
        raise UsageError("inspect: got both or neither of a spec and --model; give one of them")
    if spec is not None:
        found = inspect_spec(load_spec(spec))
    else:
        assert model is not None
        found = inspect_model(model, _shape(input_), tuple(exclude or ()))
    _print(found, structure_table(found), as_json)


@app.command()
@guarded
def status(
    url: Annotated[
        str | None, typer.Argument(envvar="MENDSEARCH_STORAGE", help="postgresql://… study database.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One search.")] = None,
    as_json: Json = False,
) -> None:
    """Searches of a database: trials by state, and the best score."""
    if url is not None and "://" not in url and name is None:  # `status NAME`, of the embedded database
        url, name = None, url
    if url is None and not mendstore.EmbeddedServer(EMBEDDED).exists:
        found: list[mendstore.StudySummary] = []
    else:
        found = mendstore.summaries(url or mendstore.EmbeddedServer(EMBEDDED).start(), name)
    if name is not None and not found:
        raise UsageError(f"status: no search `{name}` in this database; `mendsearch status` lists them")
    _print([asdict(summary) for summary in found], studies_table(found), as_json)


@app.command()
@guarded
def delete(
    name: Annotated[str, typer.Argument(help="The search to remove.")],
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a search, with all its trials, from the database. Folders of runs stay."""
    url = mendstore.normalised(_storage(storage))
    if not mendstore.summaries(url, name):
        raise UsageError(f"delete: no search `{name}` in this database; `mendsearch status` lists them")
    if not yes:
        typer.confirm(f"Remove search `{name}` with all its trials?", abort=True)
    with mendstore.exclusive(url, name) as alone, mendstore.reachable(url):
        if not alone:
            raise UsageError(f"delete: search `{name}` is being run by another process; stop it first")
        optuna.delete_study(study_name=name, storage=url)


@db.command()
@guarded
def start() -> None:
    """Start it, if it does not run, and print its URL, as SQLAlchemy and stock Optuna take it."""
    print(mendstore.EmbeddedServer(EMBEDDED).start())


@db.command()
@guarded
def stop() -> None:
    """Stop it; what it holds stays."""
    print("stopped" if mendstore.EmbeddedServer(EMBEDDED).stop() else "was not running")


def _run(spec: Spec, out: Path, storage: str | None, as_json: bool) -> None:
    from mendsearch import stages

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    reporter = Reporter()
    outcome = stages.finished(spec, out)
    if outcome is None or storage is None:
        storage = _storage(storage)
    if outcome is None:
        outcome = stages.run(spec, out, mendstore.normalised(storage), reporter)
    write_report(out / "report.html", outcome.result, outcome.dense_score, outcome.widths, outcome.floor)
    _print(outcome.result, result_table(outcome.result, outcome.dense_score), as_json)
    shown = mendstore.without_password(mendstore.normalised(storage))
    reporter.say(f"in {out}: result.json, report.html, model/ (mendsearch.load)")
    reporter.say(f"study `{spec.name}`: optuna-dashboard '{shown}'")
    if ".mendsearch" in shown:
        reporter.say("the embedded database goes on for the dashboard; `mendsearch db stop` ends it")


def _storage(url: str | None) -> str:
    return url if url is not None else mendstore.EmbeddedServer(EMBEDDED).start()


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        shape = ()
    if len(shape) < 2 or min(shape) < 1:
        raise ModelError(f"--input: got {text!r}, expected CxHxW such as 3x224x224")
    return shape


def _print(value: Any, table: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(value, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table)
