"""Searches of many workers: `create`, `worker`, `resume`, `stop`, `delete`, `gc`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import (
    STORE_HELP,
    Data,
    Out,
    SetKeys,
    SpecOrFolder,
    Storage,
    existing_storage,
    guarded,
    look_up,
    runs_of,
    stoppable,
    storage_of_folder,
)
from mendsearch.cli.target import Name, Url, existing_search, search_named
from mendsearch.config import MOST_TRIALS, Spec
from mendsearch.errors import UsageError
from mendsearch.progress import Reporter
from mendview.words import plural


@guarded
def create(
    spec: SpecOrFolder,
    out: Out = None,
    storage: Storage = None,
    store: Annotated[str | None, typer.Option(help=STORE_HELP)] = None,
    set_: SetKeys = None,
) -> None:
    """Train and rank, then register the search for workers on any machine. Run it again to resume.

    Where a limit of the budget is a list, one search is registered for each entry.
    """
    reporter = Reporter()
    with stoppable(reporter):
        for one, folder in runs_of(spec, out, set_):
            _create(one, folder, storage_of_folder(folder, storage), store, reporter)


def _create(loaded: Spec, folder: Path, url: str, store: str | None, reporter: Reporter) -> None:
    from mendsearch.pipeline import stages

    registered = stages.create_search(loaded, folder, url, store, reporter)
    shown = mendstore.without_password(url)
    print(f"search `{registered.name}` is registered for {registered.trials} trials in {shown}")
    data = loaded.data.path if loaded.finetune.epochs else None
    print(f"start workers: {mendstore.launch_command(url, registered.name, registered.spec, data)}")
    print(f"work on what is left, and export: {mendstore.command('run', None, str(folder))}")


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
    if trials is not None and int(trials) + (search.trials if trials.startswith("+") else 0) > MOST_TRIALS:
        raise UsageError(f"--trials {trials}: a search has up to {MOST_TRIALS:,} trials")
    limit_s, since_s = search.spec.get("mend", {}).get("seconds"), mendstore.under_way_s(database, search)
    if trials is not None and limit_s is not None and since_s is not None and since_s > limit_s:
        raise UsageError(
            f"--trials {trials}: the time of search `{name}`, mend.seconds = {limit_s:g}, is over; run its spec again "
            f"with `--set mend.seconds=…`, counted from the first trial, which began {since_s:.0f} s ago"
        )
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
    ladder = mendstore.ladder(database, search)
    if done >= wanted and (ladder is None or ladder.over):
        print(f"nothing is left to do; to add trials: {mendstore.command('resume', url, name)} --trials +100")
    elif not workers:
        print(f"start some: {mendstore.launch_command(url, name, search.spec)}")


@guarded
def stop(url: Url = None, name: Name = None) -> None:
    """Ask the workers of a search to stop after their current work; `resume` resumes it."""
    url, name = existing_search("stop", url, name)
    database = mendstore.Database(url)
    mendstore.check_version(database)
    search = mendstore.find(database, name)
    mendstore.stop(database, search)
    workers = mendstore.alive(database, search.study_id)
    asked = f"{plural(workers, 'worker')} asked to stop" if workers else "no worker is at work, and none will start"
    print(f"search `{name}`: {asked}; to resume it: {mendstore.command('resume', url, name)}")


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
        raise mendstore.SearchNameError(
            f"no search `{name}` in this database; `{mendstore.command('status', url)}` lists them"
        )
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    with contextlib.suppress(mendstore.SearchNameError):  # a study of stock Optuna has no workers
        search = mendstore.find(database, name)
        if workers := mendstore.alive(database, search.study_id):
            at_work, halt = plural(workers, "worker"), mendstore.command("stop", url, name)
            raise UsageError(f"delete: search `{name}` has {at_work} at work; stop it first: {halt}")
    if not yes:
        typer.confirm(f"Remove search `{name}` and all its trials?", abort=True)
    mendstore.remove(database, name)
    print(f"search `{name}` is removed; `{mendstore.command('gc', url)}` frees the content that only it used")


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
