"""Shared by the subcommands: options, the URL of the database, and errors as one line with an exit code."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

import mendstore
from mendsearch.config import Spec
from mendsearch.errors import MendsearchError, UsageError
from mendsearch.pipeline.budgets import specs_in
from mendsearch.pipeline.home import storage_of_run
from mendsearch.pipeline.naming import beside
from mendsearch.progress import Reporter
from mendsearch.stopping import Listener, Stopping
from mendstore import EMBEDDED

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout; progress goes to stderr.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar=mendstore.STORAGE_VARIABLE,
        help="postgresql://… of the study database. Default: an embedded Postgres under .mendsearch/.",
    ),
]
WIDEST = 10_000
"""Characters of a line that no terminal shows."""
SetKeys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the spec, such as mend.trials=200."),
]
Out = Annotated[Path | None, typer.Option(help="Run folder. Default: that of SPEC if it is one, else runs/NAME.")]
SpecOrFolder = Annotated[
    Path,
    typer.Argument(
        metavar="SPEC", help="Spec file (TOML; docs/spec.md lists its keys), or the folder of a run, to go on with it."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        envvar="MENDSEARCH_DATA",
        help="Folder of the training data, for sources that read one: a worker without it takes no fine-tunings.",
    ),
]
STORE_HELP = "Folder for content that is too large for the database: a path, s3://bucket/prefix, …"


P = ParamSpec("P")


# Threads of PyTorch that wait by spinning slow each other, and every other process of the machine, several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn expected errors into one line on stderr and their exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with interruptions_heard():
                command(*args, **kwargs)
        except (MendsearchError, mendstore.StorageError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            reason = (str(error) or type(error).__name__).splitlines()[-1]
            print(f"error: {reason}; check the path, its permissions, and the free space", file=sys.stderr)
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            if importlib.util.find_spec("torch") is not None:
                raise
            print(f"error: this command needs PyTorch: {error}; pip install 'mendsearch[torch]'", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print(INTERRUPTED, file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None

    return run


INTERRUPTED = "interrupted; nothing is lost: run the same command again to resume"


@contextmanager
def stoppable(reporter: Reporter) -> Iterator[Stopping]:
    """Within the scope, a signal that asks the process to stop ends it with 128 + n, whatever it does just then."""
    stopping = Stopping()

    def say() -> None:
        reporter.console.show_cursor(True)
        print(INTERRUPTED, file=sys.stderr)

    Listener(stopping, say).start()
    try:
        yield stopping
    except (MendsearchError, mendstore.StorageError):
        if stopping.number is None:
            raise
    if stopping.number is not None:
        say()
        raise typer.Exit(128 + stopping.number)


@contextmanager
def interruptions_heard() -> Iterator[None]:
    """Within the scope, a Ctrl-C in a destructor or a weak reference's callback, where Python drops it, comes again."""
    before, main = sys.unraisablehook, threading.main_thread().ident
    assert main is not None

    def again(dropped: sys.UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):  # a moment later: what is raised here is dropped too
            threading.Timer(0.02, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            before(dropped)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def storage_of(url: str | None) -> str:
    """The URL given, or MENDSEARCH_STORAGE, or that of the embedded server, which is started if it does not run."""
    if url := url or os.environ.get(mendstore.STORAGE_VARIABLE):
        return url
    server = mendstore.EmbeddedServer(EMBEDDED)
    if server.exists and not server.running:
        print(f"starting the database under {EMBEDDED}/; `{mendstore.command('db stop')}` stops it", file=sys.stderr)
    return server.start()


def runs_of(spec: Path, out: Path | None, set_: list[str] | None) -> list[tuple[Spec, Path]]:
    """Spec and folder of each run, from a spec file or a run folder: one, or one for each budget.

    A run has its own folder and name if the folder holds another one. Those of several budgets lie beside each other:
    in `out`, or where a single run would.

    Raises:
        SpecError: the spec cannot be read.
    """
    loaded = specs_in(spec, tuple(set_ or ()))
    if out is not None:
        return [(one, out if len(loaded) == 1 else out / one.name) for one in loaded]
    if len(loaded) > 1:
        parent = spec.parent if spec.is_dir() else Path("runs")
        return [(one, parent / one.name) for one in loaded]
    one, folder, said = beside(loaded[0], spec if spec.is_dir() else Path("runs") / loaded[0].name)
    if said:
        print(said, file=sys.stderr)
    return [(one, folder)]


def storage_of_folder(folder: Path, url: str | None) -> str:
    """As `storage_of`, for a run in a folder: where nothing is given, its search is looked for where it was."""
    given = url or os.environ.get(mendstore.STORAGE_VARIABLE) or None
    return mendstore.normalised(storage_of_run(folder, given) or storage_of(None))


def has_storage(url: str | None) -> bool:
    """Whether there is a database: a URL, or an embedded server that was created."""
    return bool(url or os.environ.get(mendstore.STORAGE_VARIABLE)) or mendstore.EmbeddedServer(EMBEDDED).exists


def existing_storage(verb: str, url: str | None) -> str:
    """As `storage_of`, for a verb that needs a database that exists.

    Raises:
        UsageError: there is no URL, and no embedded database in this folder.
    """
    if not has_storage(url):
        raise UsageError(f"{verb}: got no storage URL, and there is no database under {EMBEDDED}/; give postgresql://…")
    return storage_of(url)


def look_up(url: str, name: str) -> tuple[mendstore.Registered, int]:
    """Find a search and the number of its trials that are done, before PyTorch is imported or a worker is started.

    Raises:
        mendstore.SearchNameError: there is no search of that name.
    """
    database = mendstore.Database(url)
    try:
        mendstore.check_version(database)
        search = mendstore.find(database, name)
        return search, mendstore.progress(database, search.study_id)[0]
    finally:
        database.close()


def show(value: Any, table: Any, as_json: bool = False) -> None:
    """Print a value as JSON, or the table of it. What is read by another program than a terminal is not folded."""
    if as_json:
        print(json.dumps(value, indent=2))
        return
    console = Console(markup=False)
    if not sys.stdout.isatty():
        console.width = Console(width=WIDEST, markup=False).measure(table).maximum
    console.print(table)
