"""Local workers: those that `mendsearch run SPEC --workers N` starts on its own machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import mendstore
from mendsearch.fleet.compatibility import ALLOW_VARIABLE, imported_packages
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import Slot, Supervisor, cpu_slots, gpu_slots
from mendsearch.fleet.launch.devices import visible_gpus
from mendsearch.fleet.launch.supervisor import PATIENCE_S
from mendsearch.progress import Reporter
from mendsearch.stopping import Stopping
from mendsearch.study.worker import check_done

POLL_S = 0.2
COUNT_S = 1.0
"""Pause between two counts of the trials that are done."""


def run_local_workers(
    database: mendstore.Database,
    registered: mendstore.Registered,
    workers: int,
    imported: Sequence[str],
    log_dir: Path,
    reporter: Reporter,
    stopping: Stopping,
) -> None:
    """Run workers until the trials of the search are done.

    The workers end with this process, however it ends. Their unfinished candidates wait again, and the same command
    resumes the search.

    Args:
        database: the study database.
        registered: the search as the database holds it, with its bundle.
        workers: number of workers.
        imported: names of the network and of the score, whose packages they may import.
        log_dir: folder with one log file per worker.
        reporter: where progress goes.
        stopping: whether the run is asked to stop; its workers are then asked, too.

    Raises:
        MendsearchError: all workers ended before the search was done; the message gives the reason of the last one.
    """
    environment = {**os.environ, mendstore.STORAGE_VARIABLE: database.url}
    if packages := imported_packages(*imported):
        environment[ALLOW_VARIABLE] = ",".join(packages)
    news: list[str] = []

    def say(line: str) -> None:
        news.append(line)
        reporter.say(line)

    supervisor = Supervisor(
        [sys.executable, "-P", "-m", "mendsearch", "worker", registered.name],
        environment,
        _slots(workers),
        log_dir,
        report_ends(database.url, registered.name),
        say=say,
    )
    counted = time.monotonic()
    done = mendstore.progress(database, registered.study_id)[0]
    with stopping.finishing(PATIENCE_S + 5), reporter.stage("mend", registered.trials, done) as stage:
        try:
            supervisor.start()
            while not stopping.event.is_set() and supervisor.poll():
                time.sleep(POLL_S)
                if time.monotonic() - counted >= COUNT_S:
                    counted = time.monotonic()
                    done, best = mendstore.progress(database, registered.study_id)
                    stage.advance("" if best is None else f"best score {best:.4f}", done)
        finally:
            supervisor.close()
    check_done(database, registered, news[-1] if news else "its workers ended")


def _slots(workers: int) -> list[Slot]:
    if not torch.cuda.is_available():
        return cpu_slots(workers)
    gpus = visible_gpus()
    return gpu_slots(gpus, -(-workers // len(gpus)))[:workers]
