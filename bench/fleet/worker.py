"""A worker without torch whose scoring is a sleep; `bench.fleet.chaos` starts it with a job file.

Ours does what `mendsearch/fleet/worker.py` and `mendsearch/study/worker.py` do: queue, heartbeat, signals, spool; then
the last rungs as `mendsearch/fleet/ladder.py` does, with passes that sleep and a checkpoint after each.
Stock is `study.optimize` as Optuna's documentation recommends for workers that may die. Both write each score that they
computed, and that it was recorded, into a journal of their own, so that no loss goes unseen.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

import mendstore
from bench.fleet.study import SPACE, attributes, proposal, result, stock_storage
from mendsearch.fleet.launch import STORAGE_VARIABLE
from mendsearch.mending.ladder import RUNGS, places
from mendsearch.stopping import GRACE_S, Listener, Stopping

PAUSE_S = 0.25
OUTAGE_S = 600.0
TRIAL_LIMIT_S = 600.0
FINALISTS = 6
PASSES = 5


@dataclass(frozen=True)
class Job:
    """What the workers of a run do.

    Attributes:
        side: whose worker it is.
        name: name of the study.
        trials: number of trials asked for.
        score_s: shortest and longest duration of a score.
        lease_s: duration of a lease, and of the grace period of stock's heartbeats.
        folder: folder of spool and journals.
    """

    side: Literal["ours", "stock"]
    name: str
    trials: int
    score_s: tuple[float, float]
    lease_s: float
    folder: str

    def write(self, path: Path) -> None:
        """Write a file for `read`."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> Job:
        """Read a file of `write`."""
        return Job(**json.loads(path.read_text()))


class Journal:
    """A file of lines that survives any end of the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / f"{os.getpid()}-{os.urandom(3).hex()}.jsonl", os.O_WRONLY | os.O_CREAT)

    def note(self, what: str, **more: Any) -> None:
        """Write a line at once."""
        os.write(self._file, (json.dumps({"what": what, **more}) + "\n").encode())


def say(line: str) -> None:
    """Write to the worker's log."""
    print(line, file=sys.stderr, flush=True)


def score(source: random.Random, job: Job) -> float:
    """Sleep, then return a random score."""
    time.sleep(source.uniform(*job.score_s))
    return -source.random()


def ours(url: str, job: Job, journal: Journal) -> int:
    """Work like `mendsearch.fleet.worker.run_worker`; return an exit code."""
    stopping, joined = Stopping(), list[mendstore.Queue]()
    stop_event = stopping.event

    def give_back(number: int) -> None:
        for queue in joined:
            queue.leave(f"signal {number}")

    Listener(stopping, lambda: None).start()
    first = mendstore.Database(url)
    try:
        mendstore.check_version(first)
        search = mendstore.find(first, job.name)
    finally:
        first.close()
    database = mendstore.Database(
        url, OUTAGE_S, stop_event, lambda reason: say(f"the study database cannot be reached: {reason}")
    )
    source = random.Random(os.getpid() + time.time_ns())
    try:
        spool = Path(job.folder) / "spool"
        with (
            stopping.finishing(GRACE_S, give_back),
            mendstore.working(database, search, "cpu", spool, TRIAL_LIMIT_S, stop_event, say) as (queue, heartbeat),
        ):
            joined.append(queue)
            journal.note("joined")
            while claim := _take(queue, heartbeat, source, stop_event):
                value = score(source, job)
                journal.note("scored", item=claim.item_id, value=value)
                heartbeat.end()
                how = queue.finish(result(claim, value))
                journal.note(how, item=claim.item_id, value=value)
            climb(mendstore.Tasks(database, queue, "bench", None, spool), source, job, journal, stop_event)
    except mendstore.StorageError:
        if stopping.number is None:
            raise
    finally:
        with contextlib.suppress(Exception):
            database.close()
    return 0 if stopping.number is None else 128 + stopping.number


def _take(
    queue: mendstore.Queue, heartbeat: mendstore.Heartbeat, source: random.Random, stop_event: threading.Event
) -> mendstore.Claim | None:
    offer = [proposal(source)]
    while not stop_event.is_set():
        status, claims = queue.claim(offer)
        if claims:
            heartbeat.begin()
            return claims[0]
        if status != "wait":
            break
        stop_event.wait(PAUSE_S)
    return None


def climb(
    tasks: mendstore.Tasks, source: random.Random, job: Job, journal: Journal, stop_event: threading.Event
) -> None:
    """Choose `FINALISTS` made-up finalists, and fine-tune them: passes that sleep, with a checkpoint after each."""
    scratch = Path(job.folder) / f"scratch-{os.getpid()}"
    scratch.mkdir(exist_ok=True)
    while not stop_event.is_set():
        status, task = tasks.claim(("choose", "finetune"))
        if task is None and status == "wait":
            stop_event.wait(PAUSE_S)
        elif task is None:
            break
        elif task.kind == "choose":
            made = [mendstore.ChosenFinalist(f"finalist_{at}", str(at), {}, -float(at)) for at in range(FINALISTS)]
            rungs = [{"part": part, "places": count} for part, count in zip(RUNGS, places(FINALISTS), strict=True)]
            tasks.choose(task, made, rungs, 0.0)
        else:
            _fine_tune(tasks, task, source, job, journal, scratch)


def _fine_tune(
    tasks: mendstore.Tasks, task: mendstore.Task, source: random.Random, job: Job, journal: Journal, scratch: Path
) -> None:
    """The weights are the passes that were made, so that one that was left out or made twice shows."""
    file, trained = scratch / "file", f"{task.key}/{task.rung}:"
    if task.checkpoint is not None:
        tasks.fetch(task.checkpoint, file)
        trained = file.read_text()
        journal.note("taken up", item=task.task_id, epoch=task.epoch)
    for epoch in range(task.epoch, PASSES):
        time.sleep(source.uniform(*job.score_s))
        trained += f" {epoch}"
        file.write_text(trained)
        with contextlib.suppress(mendstore.StorageError):  # an outage: a later checkpoint will do
            if not tasks.keep(task, file, epoch + 1):
                tasks.give_back(task, "another has finished it")
                return
    value = source.random()
    journal.note("tuned", item=task.task_id, value=value)
    how = tasks.finish(task, mendstore.Tuned(value, 0.0, 1.0), file)
    journal.note(f"tuned, {how}", item=task.task_id, value=value)


def stock(url: str, job: Job, journal: Journal) -> int:
    """Work as a user of Optuna would write it; return an exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    source = random.Random(os.getpid() + time.time_ns())
    storage = stock_storage(url, max(1, round(job.lease_s / 4)), round(job.lease_s))
    study = optuna.load_study(study_name=job.name, storage=storage, sampler=optuna.samplers.RandomSampler())
    journal.note("joined")
    counted = (TrialState.COMPLETE, TrialState.PRUNED)
    enough = MaxTrialsCallback(job.trials, states=counted)

    def objective(trial: optuna.Trial) -> float:
        params = {name: float(trial.suggest_int(name, 0, 511)) for name in SPACE}
        value = score(source, job)
        journal.note("scored", item=trial.number, value=value)
        for key, found in attributes(params).items():
            trial.set_user_attr(key, found)
        return value

    def recorded(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.state == TrialState.COMPLETE:
            journal.note("recorded", item=trial.number, value=trial.value)

    if len(study.get_trials(deepcopy=False, states=counted)) < job.trials:
        study.optimize(objective, callbacks=[recorded, enough], catch=(Exception,))
    return 0


def main() -> None:
    """Run one worker. If the database cannot be reached, ours prints one line and ends with its exit code."""
    job, url = Job.read(Path(sys.argv[1])), os.environ[STORAGE_VARIABLE]
    journal = Journal(Path(job.folder) / "journals")
    try:
        sys.exit((ours if job.side == "ours" else stock)(url, job, journal))
    except mendstore.StorageError as error:
        say(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
