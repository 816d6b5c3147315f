"""A worker's way to candidates and back: claim, finish, and nothing lost between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mendstore.database import Database
from mendstore.errors import SearchNameError
from mendstore.processes import surely_dead, this_process
from mendstore.queries.registered import Registered
from mendstore.spool import Spool
from mendstore.workers import open_workers

Status = Literal["claimed", "wait", "finished", "stopping"]


@dataclass(frozen=True)
class Claim:
    """An item that this worker holds.

    Attributes:
        item_id: names the item through all attempts.
        trial_id: Optuna's, of this attempt.
        number: Optuna's, of this attempt.
        params: in Optuna's internal form; what a stock `enqueue_trial` was given where `asked`.
        asked: the candidate came from a stock `enqueue_trial` and has still to be made to fit.
        attempt: 1, 2, …
        known: the score that this very candidate has already, or None.
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
    """What a trial ends with.

    Attributes:
        item_id: of the claim.
        state: `COMPLETE` or `PRUNED`.
        value: the score; what it is expected to be where scoring was stopped.
        key: names the candidate.
        params: in Optuna's internal form.
        attrs: user attributes, JSON values.
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

    Exactly N items are ever claimed that are not set aside; each result is recorded once, whoever brings it first and
    however often. Where the database is away, calls wait as `Database` says; a result is on the disk meanwhile.

    Args:
        database: shared with the thread that renews.
        search: to work at.
        device: what the worker computes on, for people to read.
        spool: folder of this node for results that cannot be written.

    Attributes:
        worker_id: of this worker.
        ordinal: 0, 1, … within the search.
        done: results that the search had at the last claim, and those of this worker since.
    """

    def __init__(self, database: Database, search: Registered, device: str, spool: Path) -> None:
        self.search, self._database = search, database
        own = this_process()
        others = open_workers(database, search.study_id)
        for worker_id in (worker for worker, process in others.items() if surely_dead(process)):
            database.call("mend_leave", worker_id, "lost: its process has ended", "", True)
        joined = database.call("mend_join", search.study_id, own.host, own.boot, own.pid, device)
        self.worker_id, self.ordinal, self.done = (int(joined[key]) for key in ("worker_id", "ordinal", "done"))
        self._spool, self._holding = Spool(spool / _place(database, search)), set[int]()
        with self._spool.left_behind() as results:
            for result in results:
                self._write(Result(**result))

    def claim(self, proposals: Sequence[tuple[str, dict[str, float]]]) -> tuple[Status, list[Claim]]:
        """Claim as many items as there are proposals, which are used where nothing else waits.

        Args:
            proposals: (key, parameters in Optuna's internal form) of candidates.

        Returns:
            the claims with `claimed`; none with `wait` (others are at work on the last ones), `finished` or `stopping`.

        Raises:
            StorageError: the database stayed away, or the search was removed.
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
        """Record a result: `recorded`, `late` where the lease was lost meanwhile, `dropped` where there is one already.

        Raises:
            StorageError: the database stayed away; the result is on the disk, and this node's next worker writes it.
        """
        how = self._write(result, partial(self._spool.add, result.item_id, asdict(result)))
        self._spool.remove(result.item_id)
        self._holding.discard(result.item_id)
        self.done += how != "dropped"
        return how

    def fail(self, claim: Claim, reason: str, log: str) -> None:
        """Give an item back that failed here; the third time it is set aside and another takes its place."""
        self._database.call("mend_fail", claim.item_id, self.worker_id, reason, log)
        self._holding.discard(claim.item_id)

    def leave(self, ending: str, log: str = "", *, counts: bool = False) -> None:
        """End: what is held waits again; `counts` where the candidate may be what ended the worker.

        Raises:
            StorageError: the database is away; the claims run out by themselves.
        """
        self._database.call("mend_leave", self.worker_id, ending, log, counts, patient=False)
        self._holding.clear()

    def renew(self) -> bool:
        """Renew the leases, and put back what others let expire; whether the search asks its workers to end.

        Raises:
            StorageError: the database is away.
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


def _place(database: Database, search: Registered) -> str:
    """A folder's name for a search of a database, without a secret in it."""
    url = database.engine.url
    named = f"{url.host}/{url.port}/{url.database}/{sorted(url.query.items())}/{search.study_id}/{search.fingerprint}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
