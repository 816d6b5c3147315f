"""The queue of a fleet as the source of candidates: this worker proposes what no other has tried."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

import mendstore
from mendsearch.coupling.layout import Ints
from mendsearch.errors import MendsearchError
from mendsearch.mending.sampler import SpaceSampler
from mendsearch.mending.space import Space
from mendsearch.study.limit import TimeLimit

PAUSE_S = 0.25
"""Pause between two checks whether the last candidates, which other workers hold, are done."""
FAILURES = 10
"""Candidates that may fail in a row before the worker considers the search broken."""


@dataclass(frozen=True, eq=False)
class Claimed:
    """A candidate that this worker holds."""

    claim: mendstore.Claim
    counts: Ints
    known: float | None


class FleetSource:
    """Claims candidates from a queue, and finishes them.

    Args:
        queue: queue of this worker.
        study: study of the search.
        space: search space.
        sampler: sampler that proposes candidates.
        heartbeat: thread that watches how long a candidate takes.
        stop_event: event after which no more candidates are taken.
        limit: time limit of the trials, looked at before each claim.
    """

    def __init__(
        self,
        queue: mendstore.Queue,
        study: optuna.Study,
        space: Space,
        sampler: SpaceSampler,
        heartbeat: mendstore.Heartbeat,
        stop_event: threading.Event,
        limit: TimeLimit,
    ) -> None:
        self._queue, self._study, self._space, self._sampler = queue, study, space, sampler
        self._heartbeat, self._stop_event, self._limit, self._failures = heartbeat, stop_event, limit, 0
        self._best: tuple[Ints, float] | None = None

    def done(self) -> int:
        """Number of trials that ended with a score, of all workers, at the last claim."""
        return self._queue.done

    def best(self) -> tuple[Ints, float] | None:
        """The best complete candidate that this worker knows, and its score."""
        if self._best is None:
            complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            for trial in complete:
                if self._space.holds(trial.params) and trial.value is not None:
                    self._better(self._space.counts(trial.params), trial.value)
        return self._best

    def take(self) -> Claimed | None:
        """Claim the next candidate. Waits while other workers hold the last ones, which may be given back."""
        self._limit.check()
        proposal = self._proposal()
        offer = [(key_of(proposal), self._internal(proposal))]
        while not self._stop_event.is_set():
            status, claims = self._queue.claim(offer)
            if claims:
                self._heartbeat.begin()
                return self._claimed(claims[0], proposal)
            if status != "wait":
                break
            self._stop_event.wait(PAUSE_S)
        return None

    def record(self, candidate: Claimed, value: float, attrs: Mapping[str, Any], stopped_at: int | None) -> None:
        """Finish the claim."""
        self._heartbeat.end()
        self._failures = 0
        if stopped_at is None:
            self._better(candidate.counts, value)
        self._queue.finish(
            mendstore.Result(
                candidate.claim.item_id,
                "COMPLETE" if stopped_at is None else "PRUNED",
                value,
                key_of(candidate.counts),
                self._internal(candidate.counts),
                {**attrs, "worker": self._queue.worker_id},
                {} if stopped_at is None else {str(stopped_at): value},
            )
        )

    def failed(self, candidate: Claimed, error: Exception) -> None:
        """Give the candidate back with its traceback; it is tried three times at most."""
        self._heartbeat.end()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        self._queue.fail(candidate.claim, reason, "".join(traceback.format_exception(error)))
        self._failures += 1
        if self._failures >= FAILURES:
            raise MendsearchError(
                f"{FAILURES} candidates failed in a row, the last with {reason}; the trials' attribute `failed` holds "
                f"the tracebacks"
            ) from error

    def _better(self, counts: Ints, value: float) -> None:
        if self._best is None or value > self._best[1]:
            self._best = counts, value

    def _proposal(self) -> Ints:
        number = len(self._study.get_trials(deepcopy=False))
        return self._sampler.candidate(self._study, _asking(number))

    def _claimed(self, claim: mendstore.Claim, proposal: Ints) -> Claimed:
        """The candidate of a claim. If a person asked for some restorations, the others are as proposed."""
        if not claim.asked:
            return Claimed(claim, self._space.counts(claim.params), claim.known)
        given = {name: value for name, value in claim.params.items() if name in self._space.names}
        wanted = self._space.counts(self._space.params(proposal) | given)
        counts = self._space.project(np.clip(wanted, self._space.floor, self._space.coupling.widths))
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        params = self._space.params(counts)
        return Claimed(claim, counts, next((trial.value for trial in complete if trial.params == params), None))

    def _internal(self, counts: Ints) -> dict[str, float]:
        return {name: float(value) for name, value in self._space.params(counts).items()}


def key_of(counts: Ints) -> str:
    """Key of a candidate (G,) within its search."""
    return ",".join(map(str, counts))


def counts_in(key: str) -> Ints:
    """(G,) int64, keep counts of the candidate with that key."""
    return np.array(key.split(","), dtype=np.int64)


def _asking(number: int) -> FrozenTrial:
    """A trial that the study does not hold; the database creates it when the candidate is claimed."""
    trial = create_trial(state=TrialState.RUNNING)
    trial.number, trial._trial_id = number, -1
    return trial
