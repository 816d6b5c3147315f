"""Searches of many workers: `create`, `worker`, `resume`, `stop`, `delete`, `gc`."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import (
    STORE_HELP,
    Data,
    SetKeys,
    Storage,
    existing_storage,
    guarded,
    look_up,
    storage_of,
)
from mendsearch.cli.target import Name, Url, existing_search, search_named
from mendsearch.config import load_spec
from mendsearch.errors import UsageError
from mendsearch.progress import Reporter
from mendview.words import plural


@guarded
def create(
    spec: Annotated[Path, typer.Argument(help="Spec file (TOML); docs/spec.md lists its keys.")],
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/NAME.")] = None,
    storage: Storage = None,
    store: Annotated[str | None, typer.Option(help=STORE_HELP)] = None,
    set_: SetKeys = None,
) -> None:
    """Train and rank, then register the search for workers on any machine. Run it again to resume."""
    from mendsearch.fleet.compatibility import imported_packages
    from mendsearch.fleet.tuner import imported_by_workers
    from mendsearch.pipeline import stages

    loaded = load_spec(spec, tuple(set_ or ()))
    folder = out or Path("runs") / loaded.name
    url, reporter = mendstore.normalised(storage_of(storage)), Reporter()
    registered = stages.create_search(loaded, folder, url, store, reporter)
    shown = mendstore.without_password(url)
    print(f"search `{registered.name}` is registered for {registered.trials} trials in {shown}")
    packages = imported_packages(*imported_by_workers(loaded))
    options = "".join(f" --allow {package}" for package in packages)
    if loaded.data.path is not None and loaded.finetune.epochs:
        options += f" --data {shlex.quote(str(loaded.data.path.absolute()))}"
    print(f"workers:  mendsearch launch '{shown}' {registered.name} --workers 2{options}")
    keys = [word for key in set_ or () for word in ("--set", key)]
    rest = shlex.join(["mendsearch", "run", str(spec), "--out", str(folder), *keys])
    print(f"the rest: {rest}   (works on what is left, and exports)")


@guarded
def worker(
    url: Url = None,
    name: Name = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Package that may be imported for network, metric, data or fine-tuning; also MENDSEARCH_ALLOW, "
            "separated by commas."
        ),
    ] = None,
    data: Data = None,
    outage: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait for a database that cannot be reached. Default: from the spec."),
    ] = None,
    trial_limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds that one candidate may take. Default: from the spec.")
    ] = None,
) -> None:
    """Run one worker until a search is done: its trials, then the fine-tuning of its finalists.

    On Ctrl-C, SIGTERM or SIGUSR1 it gives back its work.
    """
    url, name = existing_search("worker", url, name)
    look_up(url, name)  # PyTorch takes seconds to import

    from mendsearch.fleet.compatibility import allowed
    from mendsearch.fleet.worker import run_worker

    raise typer.Exit(run_worker(url, name, allowed(allow or ()), data, outage, trial_limit, Reporter()))


@guarded
def resume(
    url: Url = None,
    name: Name = None,
    trials: Annotated[
        str | None, typer.Option(metavar="N|+N", help="Number of trials in all, or +N for N more. Default: unchanged.")
    ] = None,
) -> None:
    """Resume an interrupted or stopped search, or add trials to a finished one."""
    url, name = existing_search("resume", url, name)
    database = mendstore.Database(url)
    mendstore.check_version(database)
    search = mendstore.find(database, name)
    if trials is not None and not trials.removeprefix("+").isdigit():
        raise UsageError(f"--trials: got {trials!r}, expected a number such as 300, or +200 for 200 more")
    done, _ = mendstore.progress(database, search.study_id)
    if trials is None or trials.startswith("+"):
        mendstore.enlarge(database, search, by=int(trials or 0))
    elif int(trials) < done:
        raise UsageError(
            f"--trials {trials}: {done} of {search.trials} are already done; try +{trials} for {trials} more"
        )
    else:
        mendstore.enlarge(database, search, to=int(trials))
    wanted = mendstore.find(database, name).trials
    workers = mendstore.alive(database, search.study_id)
    print(f"search `{name}`: {done} of {wanted} trials done, {plural(workers, 'worker')} at work")
    if done < wanted and not workers:
        print(f"start some: mendsearch launch '{mendstore.without_password(url)}' {name} --workers 2")


@guarded
def stop(url: Url = None, name: Name = None) -> None:
    """Ask the workers of a search to stop after their current trial; `resume` resumes it."""
    url, name = existing_search("stop", url, name)
    database = mendstore.Database(url)
    mendstore.check_version(database)
    search = mendstore.find(database, name)
    mendstore.stop(database, search)
    workers = mendstore.alive(database, search.study_id)
    asked = f"{plural(workers, 'worker')} asked to stop" if workers else "no worker is at work, and none will start"
    print(f"search `{name}`: {asked}; to resume it: mendsearch resume {name}")


@guarded
def delete(
    url: Url = None,
    name: Name = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    storage: Storage = None,
) -> None:
    """Remove a search and all its trials from the database. Run folders stay."""
    given, name = search_named("delete", url, name)
    url = mendstore.normalised(existing_storage("delete", given or storage))
    if not mendstore.summaries(url, name):
        raise mendstore.SearchNameError(f"no search `{name}` in this database; `mendsearch status` lists them")
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    with contextlib.suppress(mendstore.SearchNameError):  # a study of stock Optuna has no workers
        search = mendstore.find(database, name)
        if workers := mendstore.alive(database, search.study_id):
            at_work = plural(workers, "worker")
            raise UsageError(f"delete: search `{name}` has {at_work} at work; `mendsearch stop` it first")
    if not yes:
        typer.confirm(f"Remove search `{name}` and all its trials?", abort=True)
    mendstore.remove(database, name)
    print(f"search `{name}` is removed; `mendsearch gc` frees the content that only it used")


@guarded
def gc(
    url: Url = None,
    store: Annotated[str | None, typer.Option(help=STORE_HELP)] = None,
) -> None:
    """Remove weights and images that no search uses any more."""
    from mendstore.blobs import collect

    url = existing_storage("gc", url)
    database = mendstore.Database(mendstore.normalised(url))
    mendstore.check_version(database)
    found = collect(database, store=store)
    print(f"removed: {found.blobs} blobs, {found.leftovers} leftovers of uploads, {found.bytes / 2**20:.1f} MiB")
