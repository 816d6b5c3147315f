"""The last rungs as a worker climbs them: it chooses finalists and fine-tunes them, whatever is waiting."""

from __future__ import annotations

import math
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna

import mendstore
from mendsearch.config import Spec
from mendsearch.coupling.copying import state_of
from mendsearch.errors import MendsearchError, UsageError
from mendsearch.files import write_tensors
from mendsearch.fleet.tuner import Tuner, recipe_of
from mendsearch.mending.ladder import RUNGS, places
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendsearch.study.finalists import choose
from mendsearch.study.fleet import counts_in, key_of
from mendsearch.study.worker import spool_folder

PAUSES_S = (0.25, 5.0)
"""Shortest and longest pause between two questions whether there is work; it doubles."""
FAILURES = 4
"""Tasks that may fail in a row before the worker considers the search broken; one alone is set aside after three."""


class Unwanted(Exception):
    """The fine-tuning ends before its time: the worker is asked to stop, or another has brought the result."""


@dataclass(frozen=True, eq=False)
class Climber:
    """One worker on the last rungs of a search.

    Attributes:
        database: database of the search.
        registered: the search as the database holds it.
        spec: spec of the search.
        search: the search.
        tuner_here: makes what fine-tunes finalists on this machine, or None if it cannot; called once it is needed.
        stop_event: event after which no more tasks are taken, and a fine-tuning is given back after its pass.
        reporter: where progress goes.
    """

    database: mendstore.Database
    registered: mendstore.Registered
    spec: Spec
    search: Search
    tuner_here: Callable[[], Tuner | None]
    stop_event: threading.Event
    reporter: Reporter

    def climb(self, study: optuna.Study, queue: mendstore.Queue, heartbeat: mendstore.Heartbeat) -> bool:
        """Do tasks until there are none left for this worker; returns whether there are trials to run again.

        Raises:
            MendsearchError: the search is broken, such as by a function that gives no network.
            mendstore.StorageError: the database could not be reached.
        """
        store = mendstore.store_of(self.database, self.registered)
        tasks = mendstore.Tasks(self.database, queue, recipe_of(self.spec), store, spool_folder())
        kinds: list[mendstore.Kind] = ["choose"]
        tuner: Tuner | None = None
        pause_s, failures = PAUSES_S[0], 0
        while not self.stop_event.is_set():
            status, task = tasks.claim(kinds)
            if task is not None:
                failures = failures + 1 if self._failed(tasks, task, tuner, study, heartbeat, failures) else 0
                pause_s = PAUSES_S[0]
            elif status == "wait":
                self.stop_event.wait(pause_s * random.uniform(0.75, 1.0))
                pause_s = min(2 * pause_s, PAUSES_S[1])
            elif status == "elsewhere" and tuner is None and (tuner := self.tuner_here()) is not None:
                kinds.append("finetune")
            else:
                return status == "trials"
        return False

    def told(self, note: str) -> None:
        """Say how far the ladder is, with a few words on what was done."""
        found = mendstore.ladder(self.database, self.registered, recipe_of(self.spec))
        if found is not None:
            ended = sum(step.state in ("done", "set_aside") for step in found.steps)
            self.reporter.say(f"fine-tune: {ended}/{sum(found.places)} {note}")

    def _failed(
        self,
        tasks: mendstore.Tasks,
        task: mendstore.Task,
        tuner: Tuner | None,
        study: optuna.Study,
        heartbeat: mendstore.Heartbeat,
        failures: int,
    ) -> bool:
        """Do a task; returns whether it failed. An error of the user's is raised at once: it would come again."""
        try:
            if task.kind == "choose":
                self._choose(tasks, task, study)
            else:
                assert tuner is not None  # others are not asked for
                _FineTuning(self, tasks, task, tuner, heartbeat).run()
        except Unwanted:
            tasks.give_back(task, "asked to stop")
        except mendstore.StorageError:
            raise
        except Exception as error:
            reason = _reason(error)
            tasks.fail(task, reason, "".join(traceback.format_exception(error)))
            if isinstance(error, UsageError) or (task.kind == "choose" and isinstance(error, MendsearchError)):
                raise
            self.reporter.say(f"{_named(task)} failed: {reason}")
            if failures + 1 >= FAILURES:
                raise MendsearchError(f"{FAILURES} fine-tunings failed in a row, the last with {reason}") from error
            return True
        finally:
            heartbeat.end()
        return False

    def _choose(self, tasks: mendstore.Tasks, task: mendstore.Task, study: optuna.Study) -> None:
        started, coupling = time.perf_counter(), self.search.problem.coupling
        found = choose(study, self.search, self.spec.finetune.finalists, self.spec.seed, self.reporter)
        finalists = [
            mendstore.ChosenFinalist(
                name,
                key_of(finalist.counts),
                coupling.keep_counts(finalist.counts),
                finalist.score if math.isfinite(finalist.score) else None,
            )
            for name, finalist in found.items()
        ]
        counted = places(len({finalist.key for finalist in finalists})) if self.spec.finetune.epochs else []
        rungs = [{"part": part, "places": count} for part, count in zip(RUNGS, counted, strict=False)]
        tasks.choose(task, finalists, rungs, time.perf_counter() - started)


class _FineTuning:
    """One fine-tuning, from the latest checkpoint to the result."""

    def __init__(
        self,
        climber: Climber,
        tasks: mendstore.Tasks,
        task: mendstore.Task,
        tuner: Tuner,
        heartbeat: mendstore.Heartbeat,
    ) -> None:
        self._climber, self._tasks, self._task, self._tuner, self._heartbeat = climber, tasks, task, tuner, heartbeat
        self._epoch, self._kept, self._kept_at, self._wanted = 0, task.epoch, time.monotonic(), True

    def run(self) -> None:
        task, started = self._task, time.perf_counter()
        self._heartbeat.begin(self._climber.spec.fleet.pass_limit_s)
        with TemporaryDirectory(prefix="mendsearch-") as folder:
            checkpoint, weights = Path(folder) / "checkpoint", Path(folder) / "weights.safetensors"
            if task.start is not None:
                self._tasks.fetch(task.start, weights)
            model = self._tuner.model(counts_in(task.key), weights if task.start is not None else None)
            if task.checkpoint is not None:
                self._take_up(task.checkpoint, checkpoint)
            try:
                model = self._tuner.tune(model, task.rung, checkpoint, lambda loss: self._after(checkpoint))
            except (Unwanted, KeyboardInterrupt, SystemExit):
                if self._epoch > self._kept:
                    self._keep(checkpoint)
                raise
            standing = self._tuner.measure.standing(model)
            write_tensors(weights, state_of(model))
            seconds = time.perf_counter() - started
            how = self._tasks.finish(task, mendstore.Tuned(standing.value, standing.tie, seconds), weights)
        aside = "" if how == "recorded" else f", {how}"
        self._climber.told(f"{task.name}: {standing.value:.4f} on validation at {RUNGS[task.rung]:.0%}{aside}")

    def _take_up(self, digest: str, checkpoint: Path) -> None:
        reporter = self._climber.reporter
        try:
            self._tasks.fetch(digest, checkpoint)
            reporter.say(f"{_named(self._task)} goes on after pass {self._task.epoch}")
        except mendstore.StorageError as error:  # if it is an outage, the next call says so
            checkpoint.unlink(missing_ok=True)
            reporter.say(f"{_named(self._task)} starts again: {error}")

    def _after(self, checkpoint: Path) -> None:
        """After a pass: keep a checkpoint if it is time, and see whether the worker is asked to stop."""
        self._epoch += 1
        if self._epoch <= self._task.epoch:  # it was done before the checkpoint
            return
        fleet = self._climber.spec.fleet
        self._heartbeat.begin(fleet.pass_limit_s)
        if time.monotonic() - self._kept_at >= fleet.checkpoint_s:
            self._keep(checkpoint)
        if self._climber.stop_event.is_set() or not self._wanted:
            raise Unwanted

    def _keep(self, checkpoint: Path) -> None:
        """Upload a checkpoint. If it cannot be done now, as during an outage, a later one will do."""
        try:
            self._wanted = self._tasks.keep(self._task, checkpoint, self._epoch)
            self._kept = self._epoch
        except mendstore.StorageError as error:
            self._climber.reporter.say(f"{_named(self._task)}: no checkpoint after pass {self._epoch}: {error}")
        self._kept_at = time.monotonic()


def _reason(error: Exception) -> str:
    """An error as a line; with the place, if it is not one of ours."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MendsearchError):
        return line
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{line} ({Path(frame.filename).name}, line {frame.lineno})"


def _named(task: mendstore.Task) -> str:
    if task.kind == "choose":
        return "the choice of the finalists"
    return f"fine-tuning of {task.name} to {RUNGS[task.rung]:.0%}"
