"""Start many workers of a search: `launch`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import EMBEDDED, guarded, look_up, storage_of
from mendsearch.cli.target import Name, Url, search_named
from mendsearch.errors import UsageError
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import BackendName, Request

GPUS_HELP = (
    "Workers on GPUs, one each. local: all, the first N, or a list of places in CUDA_VISIBLE_DEVICES or of UUIDs; "
    "others: N workers that ask for a GPU each."
)
CLUSTER = {"rich_help_panel": "Slurm and Kubernetes"}


@guarded
def launch(
    url: Url = None,
    name: Name = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Workers on the CPU.")] = None,
    gpus: Annotated[str | None, typer.Option(metavar="all|N|0,1", help=GPUS_HELP)] = None,
    per_gpu: Annotated[int | None, typer.Option(min=1, help="local: workers that share a GPU; else one.")] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="Cores of a worker; else the cores are shared out, or 4 on a cluster.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="PACKAGE", help="What a worker may import for the network.")
    ] = None,
    backend: Annotated[BackendName, typer.Option(help="Where the workers run.")] = "local",
    log_dir: Annotated[
        Path | None, typer.Option(help="local, slurm: a log a worker; .mendsearch/logs/NAME without it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be started or submitted, without a password.")
    ] = False,
    memory: Annotated[str | None, typer.Option(help="Of a worker: 8G (slurm), 8Gi (kubernetes).", **CLUSTER)] = None,
    limit: Annotated[str | None, typer.Option("--time", help="slurm: time limit of a task.", **CLUSTER)] = None,
    partition: Annotated[str | None, typer.Option(help="slurm: where the tasks run.", **CLUSTER)] = None,
    account: Annotated[str | None, typer.Option(help="slurm: who pays.", **CLUSTER)] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="OPTION", help="slurm: such as --sbatch=--nice=100.", **CLUSTER)
    ] = None,
    image: Annotated[str | None, typer.Option(help="kubernetes: the image of a worker.", **CLUSTER)] = None,
    namespace: Annotated[str | None, typer.Option(help="kubernetes: else that of the context.", **CLUSTER)] = None,
    secret: Annotated[
        str | None, typer.Option(help="kubernetes: one that is there, the URL under `url`; else made.", **CLUSTER)
    ] = None,
) -> None:
    """Many workers of a search, until its trials are done.

    Local workers are supervised: one that crashes is started again, and all end with this command. On Ctrl-C or SIGTERM
    they give back their work; run the same command again to go on.
    """
    url, name = search_named("launch", url, name)
    url = url or os.environ.get(mendstore.STORAGE_VARIABLE) or None
    if url is None and backend == "local" and mendstore.EmbeddedServer(EMBEDDED).exists:
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
    asked = request.resolved(EMBEDDED / "logs" / name, report_ends(url, name) if url else None)
    if dry_run:
        print(asked.rendered())
        return
    if url is not None:
        _hide_password(url)
        if backend == "local" and not _wanting(url, name):
            return
    raise typer.Exit(asked.launch(_say))


def _wanting(url: str, name: str) -> bool:
    """Whether the search has work for workers, before they are started one after another only to end."""
    search, done = look_up(url, name)
    if search.stopping:
        raise UsageError(f"launch: search `{name}` was stopped; let it go on first: mendsearch resume {name}")
    if done >= search.trials:
        print(f"search `{name}` has all its {done} trials; for more: mendsearch resume {name} --trials +200")
    return done < search.trials


def _hide_password(url: str) -> None:
    """Start this command anew without a URL that holds a password: `ps` shows a command's words to every user."""
    if url in sys.argv and mendstore.without_password(url) != url:
        words = [word for word in sys.argv[1:] if word != url]
        os.environ[mendstore.STORAGE_VARIABLE] = url
        os.execv(sys.executable, [sys.executable, "-m", "mendsearch", *words])


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", file=sys.stderr, flush=True)
