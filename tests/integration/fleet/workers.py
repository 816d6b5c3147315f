"""Workers in processes of their own, forked from a server that has PyTorch imported, since that takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import mendstore
from mendsearch.config import Spec
from mendsearch.fleet import ladder
from mendsearch.fleet.bundle import download
from mendsearch.fleet.ladder import Climber
from mendsearch.fleet.tuner import tuner_here
from mendsearch.progress import Reporter
from mendsearch.study.worker import open_database, work
from tests.cases import slow_loss

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.fleet.workers", "tests.cases.slow_loss", "mendsearch.training.loop"])
DIES_CHOOSING = "MEND_TEST_DIES_CHOOSING"


class Lines(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.said.append(line)


def climb(
    url: str,
    spec: Spec,
    reporter: Reporter,
    allow: Iterable[str] = ("tests",),
    stop_event: threading.Event | None = None,
) -> None:
    """Do what `mendsearch worker` does, without its signals."""
    stop_event, allow = stop_event or threading.Event(), list(allow)
    with closing(open_database(url, spec.fleet, reporter)) as database:
        registered = mendstore.find(database, spec.name)
        _, search = download(database, registered, allow, Reporter(quiet=True))
        climber = Climber(
            database, registered, spec, search, lambda: tuner_here(spec, search, None, allow, reporter), stop_event,
            reporter,
        )  # fmt: skip
        work(database, registered, search, spec.mend, spec.fleet, spec.seed, reporter, stop_event, climb=climber.climb)


@contextmanager
def worker(url: str, spec: Spec, **environment: str) -> Iterator[BaseProcess]:
    """A worker in a process of its own; it is killed when the scope ends."""
    given = {"MENDSEARCH_CACHE": os.environ["MENDSEARCH_CACHE"], **environment}
    process = FORKS.Process(target=_run, args=(url, spec, given))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(url: str, spec: Spec, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    if DIES_CHOOSING in environment:
        ladder.choose = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,return-value]
    claim = mendstore.Tasks.claim

    def counted(tasks: mendstore.Tasks, kinds: Iterable[mendstore.Kind]) -> Any:
        slow_loss.steps = 0  # of this task
        return claim(tasks, kinds)

    mendstore.Tasks.claim = counted  # type: ignore[method-assign]
    climb(url, spec, Lines())
