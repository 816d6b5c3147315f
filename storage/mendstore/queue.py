"""The queue of candidates as a worker sees it: claim, finish, fail, and lose nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mendstore.database import Database
from mendstore.errors import SearchNameError
from mendstore.processes import surely_dead, this_process
from mendstore.queries.registered import Registered
from mendstore.spool import Spool, folder_name
from mendstore.workers import open_workers

Status = Literal["claimed", "wait", "finished", "stopping"]


@dataclass(frozen=True)
class Claim:
    """An item that this worker holds.

    Attributes:
        item_id: id of the item, the same for all attempts.
        trial_id: Optuna's id of this attempt's trial.
        number: Optuna's number of this attempt's trial.
        params: parameters in Optuna's internal form; those given to `enqueue_trial` if `asked`.
        asked: whether the candidate comes from stock Optuna's `enqueue_trial` and must be projected first.
        attempt: number of the attempt, from 1.
        known: score that the same candidate already has, or None.
    """

    item_id: int
    trial_id: int
    number: int
    params: dict[str, Any]
    asked: bool
    attempt: int
    known: float | None


@dataclass(frozen=True)
class Result:
    """The result of a trial.

    Attributes:
        item_id: id of the claimed item.
        state: `COMPLETE` or `PRUNED`.
        value: the score; the expected score if scoring was stopped early.
        key: name of the candidate within its search.
        params: parameters in Optuna's internal form.
        attrs: user attributes as JSON values.
        steps: intermediate values by step.
    """

    item_id: int
    state: Literal["COMPLETE", "PRUNED"]
    value: float
    key: str
    params: dict[str, float]
    attrs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)


class Queue:
    """One worker of a search.

    Exactly N items are claimed, apart from those that are set aside. A result is recorded once, even if it is sent
    several times or by several workers. When the database cannot be reached, calls wait as `Database` does, and a
    result is kept on disk meanwhile.

    Args:
        database: database that the worker shares with its heartbeat.
        search: search to work on.
        device: device that the worker computes on, for people to read.
        spool: folder on this node for results that cannot be written to the database.

    Attributes:
        worker_id: id of this worker.
        ordinal: 0, 1, … within the search.
        done: results that the search had at the last claim, plus those of this worker since then.
        folder: name of a folder of this search among those of the node.
    """

    def __init__(self, database: Database, search: Registered, device: str, spool: Path) -> None:
        self.search, self._database = search, database
        own = this_process()
        others = open_workers(database, search.study_id)
        for worker_id in (worker for worker, process in others.items() if surely_dead(process)):
            database.call("mend_leave", worker_id, "lost: its process has ended", "", True)
        joined = database.call("mend_join", search.study_id, own.host, own.boot, own.pid, device)
        self.worker_id, self.ordinal, self.done = (int(joined[key]) for key in ("worker_id", "ordinal", "done"))
        self.folder = folder_name(database.engine.url, f"{search.study_id}/{search.fingerprint}")
        self._spool, self._holding = Spool(spool / self.folder), set[int]()
        with self._spool.left_behind() as results:
            for result in results:
                self._write(Result(**result))

    @property
    def lease_s(self) -> float:
        """Seconds that a claim lasts without being renewed."""
        return self.search.lease_s

    def claim(self, proposals: Sequence[tuple[str, dict[str, float]]]) -> tuple[Status, list[Claim]]:
        """Claim as many items as there are proposals; waiting items come first, then the proposals.

        Args:
            proposals: key and parameters in Optuna's internal form, for each proposed candidate.

        Returns:
            `claimed` and the claims; or no claims and `wait` (others have the last ones), `finished` or `stopping`.

        Raises:
            StorageError: the database could not be reached, or the search was removed.
        """
        offered = [{"key": key, "params": params} for key, params in proposals]
        answer = self._database.call("mend_claim", self.worker_id, sorted(self._holding), offered)
        if answer["status"] == "deleted":
            raise SearchNameError(f"search `{self.search.name}` was removed from the database")
        self.done = answer.get("done", self.done)
        claims = [Claim(**claim) for claim in answer["claims"]]
        self._holding |= {claim.item_id for claim in claims}
        return answer["status"], claims

    def finish(self, result: Result) -> str:
        """Record a result; returns `recorded`, `late` if the lease was lost, or `dropped` if there is a result already.

        Raises:
            StorageError: the database could not be reached; the result is on disk, and the next worker on this node
                writes it.
        """
        how = self._write(result, partial(self._spool.add, result.item_id, asdict(result)))
        self._spool.remove(result.item_id)
        self._holding.discard(result.item_id)
        self.done += how != "dropped"
        return how

    def fail(self, claim: Claim, reason: str, log: str) -> None:
        """Give back an item that failed; after the third failure it is set aside and another takes its place."""
        self._database.call("mend_fail", claim.item_id, self.worker_id, reason, log)
        self._holding.discard(claim.item_id)

    def leave(self, ending: str, log: str = "", *, counts: bool = False) -> None:
        """End the worker and give back its claims.

        Args:
            ending: how it ends, for people to read.
            log: log for the candidates that it holds.
            counts: whether the attempts count as failed, since a candidate may have ended the worker.

        Raises:
            StorageError: the database cannot be reached; the leases expire by themselves.
        """
        self._database.call("mend_leave", self.worker_id, ending, log, counts, patient=False)
        self._holding.clear()

    def renew(self) -> bool:
        """Renew the leases, and put back expired ones of other workers; returns whether the search asks workers to end.

        Raises:
            StorageError: the database cannot be reached.
        """
        return bool(self._database.call("mend_renew", self.worker_id, patient=False)["stopping"])

    def _write(self, result: Result, on_outage: Callable[[], None] = lambda: None) -> str:
        values = (result.item_id, self.worker_id, result.state, result.value, result.key)
        how = "again"
        while how == "again":
            how = self._database.call(
                "mend_finish", *values, result.params, result.attrs, result.steps, on_outage=on_outage
            )
        return how
