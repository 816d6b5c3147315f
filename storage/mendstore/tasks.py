"""The last rungs of a search as a worker sees them: claim a task, keep checkpoints, bring the result, lose nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mendstore.blobs import Blobs, forget
from mendstore.database import Database
from mendstore.errors import SearchNameError
from mendstore.queue import Queue
from mendstore.spool import Spool

Kind = Literal["choose", "finetune"]
TaskStatus = Literal["claimed", "trials", "wait", "elsewhere", "finished", "stopping"]
WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Task:
    """A task that this worker holds.

    Attributes:
        task_id: id of the task, the same for all attempts.
        kind: `choose` the finalists, or `finetune` one of them.
        key: choose: the number of trials to choose from; finetune: key of the candidate.
        rung: number of the rung that the finalist is brought to.
        attempt: number of the attempt since the task last got further, from 1.
        name: name of the finalist.
        start: digest of the weights of the rung before; None before the first one.
        checkpoint: digest of the latest checkpoint, or None.
        epoch: passes that the checkpoint has behind it.
    """

    task_id: int
    kind: Kind
    key: str
    rung: int
    attempt: int
    name: str
    start: str | None
    checkpoint: str | None
    epoch: int


@dataclass(frozen=True)
class ChosenFinalist:
    """A structure that was chosen to be fine-tuned.

    Attributes:
        name: name in the result.
        key: key of the candidate; several names may stand for one.
        keep_counts: channels that stay, by coupling group.
        score: refined score; None if it is not finite.
    """

    name: str
    key: str
    keep_counts: Mapping[str, int]
    score: float | None


@dataclass(frozen=True)
class Tuned:
    """What a fine-tuning ended with.

    Attributes:
        value: figure on the validation split; finite.
        tie: what decides between equal values; finite.
        seconds: time that this worker took.
    """

    value: float
    tie: float
    seconds: float


class Tasks:
    """The tasks of a search, for one worker.

    A result is on the disk of the node before it is sent, so an outage, or the end of the process, loses nothing: the
    next worker on the node sends what it finds there.

    Args:
        database: database that the worker shares with its heartbeat.
        queue: queue of the worker, whose leases its heartbeat renews.
        recipe: digest of all that decides how finalists are fine-tuned.
        store: URL of a folder for content that is too large for the database, or None.
        spool: folder on this node for results that the database does not have yet.
    """

    def __init__(self, database: Database, queue: Queue, recipe: str, store: str | None, spool: Path) -> None:
        self._database, self._queue, self._recipe = database, queue, recipe
        self._blobs, self._quick = Blobs(database, store=store), Blobs(database, store=store, patient=False)
        self._folder = spool / f"{queue.folder}-tasks"
        self._spool, self._holding = Spool(self._folder), set[int]()
        with self._spool.left_behind() as results:
            for result in results:
                self._resend(**result)

    def claim(self, kinds: Iterable[Kind]) -> tuple[TaskStatus, Task | None]:
        """Claim a task of these kinds.

        Returns:
            `claimed` and the task; or None and why: there are `trials` again, others hold what is left (`wait`) or can
            do it alone (`elsewhere`), all is `finished`, or the search is `stopping`.

        Raises:
            StorageError: the database could not be reached, or the search was removed.
        """
        held = sorted(self._holding)
        answer = self._database.call("mend_claim_task", self._queue.worker_id, self._recipe, list(kinds), held)
        if answer["status"] == "deleted":
            raise SearchNameError(f"search `{self._queue.search.name}` was removed from the database")
        if answer["status"] != "claimed":
            return answer["status"], None
        task = Task(**answer["task"])
        self._holding.add(task.task_id)
        return "claimed", task

    def keep(self, task: Task, checkpoint: Path, epoch: int) -> bool:
        """Upload a checkpoint, in place of the one before; returns whether the result is still wanted.

        Args:
            task: the fine-tuning.
            checkpoint: file to upload.
            epoch: passes that it has behind it.

        Raises:
            StorageError: it could not be kept. An outage is not waited for, since a later checkpoint will do.
        """
        digest = self._quick.put(checkpoint)
        how = self._database.call("mend_checkpoint", task.task_id, self._queue.worker_id, digest, epoch, patient=False)
        if how == "kept":
            forget(self._database, task.task_id, patient=False)
        return bool(how != "done")

    def fetch(self, digest: str, path: Path) -> None:
        """Write the content of a blob to a file.

        Raises:
            StorageError: it is not there, or damaged, or the database cannot be reached.
        """
        self._blobs.save(digest, path)

    def choose(
        self, task: Task, finalists: Sequence[ChosenFinalist], rungs: Sequence[Mapping[str, Any]], seconds: float
    ) -> str:
        """Record the finalists, in the order of a table, and `part` and `places` of each rung; as `Queue.finish`."""
        values = ([asdict(finalist) for finalist in finalists], [dict(rung) for rung in rungs], seconds)
        how: str = self._database.call("mend_chosen", task.task_id, self._queue.worker_id, *values)
        self._holding.discard(task.task_id)
        return how

    def finish(self, task: Task, tuned: Tuned, weights: Path) -> str:
        """Record what a fine-tuning gave.

        Args:
            task: the fine-tuning.
            tuned: how it ended.
            weights: file of the fine-tuned weights.

        Returns:
            `recorded`, `late` if the lease was lost, or `dropped` if there is a result already.

        Raises:
            StorageError: the database could not be reached; the result is on disk, and the next worker on this node
                sends it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._folder / f"{task.task_id}-{os.getpid()}-{os.urandom(4).hex()}{WEIGHTS}"
        shutil.copyfile(weights, kept)
        self._spool.add(task.task_id, {"task_id": task.task_id, "weights": kept.name, **asdict(tuned)})
        how = self._send(task.task_id, tuned, kept)
        self._spool.remove(task.task_id)
        kept.unlink(missing_ok=True)
        self._holding.discard(task.task_id)
        return how

    def fail(self, task: Task, reason: str, log: str) -> None:
        """Give back a task that failed; after the third failure without getting further it is set aside."""
        self._back(task, reason, log, True)

    def give_back(self, task: Task, reason: str) -> None:
        """Give back a task that is no fault of it."""
        self._back(task, reason, "", False)

    def _back(self, task: Task, reason: str, log: str, counts: bool) -> None:
        self._database.call("mend_fail_task", task.task_id, self._queue.worker_id, reason, log, counts)
        self._holding.discard(task.task_id)

    def _send(self, task_id: int, tuned: Tuned, weights: Path) -> str:
        digest = self._blobs.put(weights)
        values = (digest, tuned.value, tuned.tie, tuned.seconds)
        how: str = self._database.call("mend_finetuned", task_id, self._queue.worker_id, *values)
        forget(self._database, task_id)
        return how

    def _resend(self, task_id: int, weights: str, value: float, tie: float, seconds: float) -> None:
        kept = self._folder / Path(weights).name
        if kept.is_file():
            self._send(task_id, Tuned(value, tie, seconds), kept)
            kept.unlink(missing_ok=True)
