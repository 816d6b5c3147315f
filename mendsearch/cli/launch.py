"""Start workers of a search: `launch`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import Data, guarded, look_up, storage_of
from mendsearch.cli.target import Name, Url, search_named
from mendsearch.errors import UsageError
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import BackendName, Request

GPUS_HELP = (
    "Workers on GPUs, one per GPU. local: all, the first N, or a list of UUIDs or positions in CUDA_VISIBLE_DEVICES; "
    "others: N workers that request one GPU each."
)
CLUSTER = {"rich_help_panel": "Slurm and Kubernetes"}


@guarded
def launch(
    url: Url = None,
    name: Name = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of workers on the CPU.")] = None,
    gpus: Annotated[str | None, typer.Option(metavar="all|N|0,1", help=GPUS_HELP)] = None,
    per_gpu: Annotated[int | None, typer.Option(min=1, help="local: workers per GPU. Default: 1.")] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="Cores per worker. Default: the cores are divided; 4 on a cluster.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PACKAGE", help="Package that workers may import for network, metric, data or fine-tuning."
        ),
    ] = None,
    data: Data = None,
    backend: Annotated[BackendName, typer.Option(help="Where to run the workers.")] = "local",
    log_dir: Annotated[
        Path | None,
        typer.Option(help="local, slurm: folder of the logs, one per worker. Default: .mendsearch/logs/NAME."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be started or submitted, without passwords.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="Memory per worker: 8G (slurm), 8Gi (kubernetes).", **CLUSTER)
    ] = None,
    limit: Annotated[str | None, typer.Option("--time", help="slurm: time limit per task.", **CLUSTER)] = None,
    partition: Annotated[str | None, typer.Option(help="slurm: partition of the tasks.", **CLUSTER)] = None,
    account: Annotated[str | None, typer.Option(help="slurm: account to charge.", **CLUSTER)] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION", help="slurm: option of sbatch, such as --sbatch=--nice=100.", **CLUSTER),
    ] = None,
    image: Annotated[str | None, typer.Option(help="kubernetes: image of the workers.", **CLUSTER)] = None,
    namespace: Annotated[
        str | None, typer.Option(help="kubernetes: namespace. Default: that of the context.", **CLUSTER)
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="kubernetes: existing Secret with the URL under `url`. Default: create one.", **CLUSTER),
    ] = None,
) -> None:
    """Start workers of a search, and supervise them until it is done, fine-tunings included.

    A local worker that crashes is started again, and all end with this command. On Ctrl-C or SIGTERM they give back
    their work; run the same command again to resume.
    """
    url, name = search_named("launch", url, name)
    url = url or os.environ.get(mendstore.STORAGE_VARIABLE) or None
    if url is None and backend == "local" and mendstore.EmbeddedServer(mendstore.EMBEDDED).exists:
        url = storage_of(None)
    request = Request(
        search=name,
        backend=backend,
        url=mendstore.normalised(url) if url is not None else None,
        workers=workers,
        gpus=gpus,
        per_gpu=per_gpu,
        cpus=cpus,
        allow=allow or (),
        data=data,
        log_dir=log_dir,
        memory=memory,
        time=limit,
        partition=partition,
        account=account,
        sbatch=sbatch or (),
        image=image,
        namespace=namespace,
        secret=secret,
    )
    asked = request.resolved(mendstore.EMBEDDED / "logs" / name, report_ends(url, name) if url else None)
    if dry_run:
        print(asked.rendered())
        return
    if url is not None:
        _hide_password(url)
        if backend == "local" and not _wanting(url, name):
            return
        _say(f"how far it is: {mendstore.command('status', url, name)}")
    raise typer.Exit(asked.launch(_say))


def _wanting(url: str, name: str) -> bool:
    """Whether the search has work left, checked before workers are started."""
    search, done = look_up(url, name)
    over = done >= search.trials and _over(url, search)
    if search.stopping:
        raise UsageError(
            f"launch: search `{name}` was stopped; resume it first: {mendstore.command('resume', url, name)}"
        )
    if over:
        more = mendstore.command("resume", url, name, "--trials", "+200")
        print(f"search `{name}` has all its {done} trials, and its finalists are fine-tuned; for more: {more}")
    return not over


def _over(url: str, search: mendstore.Registered) -> bool:
    with closing(mendstore.Database(url)) as database:
        ladder = mendstore.ladder(database, search)
    return ladder is not None and ladder.over


def _hide_password(url: str) -> None:
    """Run this command again without a URL that holds a password: `ps` shows arguments to every user."""
    if url in sys.argv and mendstore.without_password(url) != url:
        words = [word for word in sys.argv[1:] if word != url]
        os.environ[mendstore.STORAGE_VARIABLE] = url
        os.execv(sys.executable, [sys.executable, "-m", "mendsearch", *words])


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", file=sys.stderr, flush=True)
