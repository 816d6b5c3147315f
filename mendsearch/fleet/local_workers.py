"""Workers of this machine for a search that this process made: `mendsearch run SPEC --workers N`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

import mendstore
from mendsearch.fleet.compatibility import ALLOW_VARIABLE
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import Slot, Supervisor, cpu_slots, gpu_slots
from mendsearch.fleet.launch.devices import visible_gpus
from mendsearch.importing import is_import_path
from mendsearch.progress import Reporter
from mendsearch.study.worker import check_done

POLL_S = 0.2
COUNT_S = 1.0
"""Between two looks at how many trials are done."""


def run_local_workers(
    database: mendstore.Database,
    registered: mendstore.Registered,
    workers: int,
    model: str,
    log_dir: Path,
    reporter: Reporter,
) -> None:
    """Run workers until the search's trials are done.

    They end with this process, however it ends; what they held waits again, and the same command goes on.

    Args:
        database: of the search.
        registered: the search, published.
        workers: how many.
        model: name of the network, whose module they may import.
        log_dir: a log a worker.
        reporter: where progress goes.

    Raises:
        MendsearchError: all workers ended, and the search is not done; the message has the last one's reason.
    """
    environment = {**os.environ, mendstore.STORAGE_VARIABLE: database.url}
    if is_import_path(model):
        environment[ALLOW_VARIABLE] = model.partition(":")[0].partition(".")[0]
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
    with reporter.stage("mend", registered.trials, mendstore.progress(database, registered.study_id)[0]) as stage:
        try:
            supervisor.start()
            while supervisor.poll():
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
