"""Local workers: those that `mendsearch run SPEC --workers N` starts on its own machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch

import mendstore
from mendsearch.fleet.compatibility import ALLOW_VARIABLE, imported_packages
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import Slot, Supervisor, cpu_slots, gpu_slots
from mendsearch.fleet.launch.devices import visible_gpus
from mendsearch.fleet.launch.supervisor import PATIENCE_S
from mendsearch.progress import Reporter, shown
from mendsearch.stopping import Stopping
from mendsearch.study.worker import check_done

POLL_S = 0.2
COUNT_S = 1.0
"""Pause between two counts of what is done."""
DATA_VARIABLE = "MENDSEARCH_DATA"


def run_local_workers(
    database: mendstore.Database,
    registered: mendstore.Registered,
    workers: int,
    imported: Sequence[str],
    data: Path | None,
    log_dir: Path,
    reporter: Reporter,
    stopping: Stopping,
) -> None:
    """Run workers until the search is done, or what is left needs another process.

    The workers end with this process, however it ends. Their unfinished candidates wait again, and the same command
    resumes the search.

    Args:
        database: the study database.
        registered: the search as the database holds it, with its bundle.
        workers: number of workers.
        imported: names of the network, the score and others, whose packages they may import.
        data: folder of the training data, for sources that read one.
        log_dir: folder with one log file per worker.
        reporter: where progress goes.
        stopping: whether the run is asked to stop; its workers are then asked, too.

    Raises:
        MendsearchError: all workers ended before the trials were done; the message gives the reason of the last one.
    """
    environment = {**os.environ, mendstore.STORAGE_VARIABLE: database.url}
    if packages := imported_packages(*imported):
        environment[ALLOW_VARIABLE] = ",".join(packages)
    if data is not None:
        environment[DATA_VARIABLE] = str(data.absolute())
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
    with stopping.finishing(PATIENCE_S + 5):
        crew = _Crew(database, registered, supervisor, workers)
        try:
            supervisor.start()
            _shown(crew, stopping, database, registered, reporter)
        finally:
            supervisor.close()
            crew.close()
    check_done(database, registered, news[-1] if news else "its workers ended")


class _Crew:
    """The local workers, as many as the run is asked to have.

    Args:
        database: the study database.
        registered: the search.
        supervisor: supervisor of the workers.
        workers: how many there are to begin with.
    """

    def __init__(
        self, database: mendstore.Database, registered: mendstore.Registered, supervisor: Supervisor, workers: int
    ) -> None:
        self._database, self._registered, self._supervisor, self._workers = database, registered, supervisor, workers
        mendstore.begin_with_workers(database, registered, workers)

    def poll(self) -> bool:
        """As `Supervisor.poll`."""
        return self._supervisor.poll()

    def follow(self) -> None:
        """Have as many workers as `mendsearch resize` asks for."""
        asked = mendstore.workers_asked_for(self._database, self._registered) or self._workers
        if asked != self._workers:
            self._workers = asked
            self._supervisor.resize(_slots(asked))
            mendstore.say_local_workers(self._database, self._registered, asked)

    def close(self) -> None:
        """Say that there are none any more."""
        with suppress(mendstore.StorageError):
            mendstore.say_local_workers(self._database, self._registered, 0)


def _shown(
    crew: _Crew,
    stopping: Stopping,
    database: mendstore.Database,
    registered: mendstore.Registered,
    reporter: Reporter,
) -> None:
    """Show how far the search is until all workers have ended, or the run is asked to stop."""
    with reporter.stage("mend", registered.trials, mendstore.progress(database, registered.study_id)[0]) as stage:
        for _ in _seconds(crew, stopping):
            done, best = mendstore.progress(database, registered.study_id)
            stage.advance("" if best is None else f"best score {shown(best)}", done)
            if done >= mendstore.find(database, registered.name).trials:
                break
    for _ in _seconds(crew, stopping):
        found = mendstore.ladder(database, registered)
        if found is not None and found.places:
            break
    else:
        return
    with reporter.stage("fine-tune", sum(found.places)) as stage:
        for _ in _seconds(crew, stopping):
            found = mendstore.ladder(database, registered) or found
            best_yet = found.best
            note = "" if best_yet is None else f"{best_yet.name} {best_yet.done[-1].value:.4f} on validation"
            stage.advance(note, sum(step.state in ("done", "set_aside") for step in found.steps))


def _seconds(crew: _Crew, stopping: Stopping) -> Iterator[None]:
    """Yield every `COUNT_S` seconds while workers run, and once when they have ended or are to end."""
    counted = time.monotonic()
    while not stopping.event.is_set() and crew.poll():
        time.sleep(POLL_S)
        if time.monotonic() - counted >= COUNT_S:
            counted = time.monotonic()
            crew.follow()
            yield
    yield


def _slots(workers: int) -> list[Slot]:
    if not torch.cuda.is_available():
        return cpu_slots(workers)
    gpus = visible_gpus()
    return gpu_slots(gpus, -(-workers // len(gpus)))[:workers]
