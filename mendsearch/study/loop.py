"""The loop of trials: take a candidate from a source, score it, record the result."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

from mendsearch.coupling.layout import Ints
from mendsearch.mending.scoring import Scored, Scorer
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter

KEEP_COUNTS = "keep_counts"


class Candidate(Protocol):
    """A candidate that was taken.

    Attributes:
        counts: (G,) int64.
        known: its score, where it was scored before.
    """

    counts: Ints
    known: float | None


class Source(Protocol):
    """Where candidates come from and results go: a study in memory, or a fleet's queue."""

    def done(self) -> int:
        """Trials that ended with a score, of all workers."""

    def best(self) -> tuple[Ints, float] | None:
        """The best complete candidate so far and its score; None before there is one."""

    def take(self) -> Any | None:
        """The next `Candidate`; None when the search has enough, or is asked to end."""

    def record(self, candidate: Any, value: float, attrs: Mapping[str, Any], stopped_at: int | None) -> None:
        """A candidate's score; where scoring was stopped, the expected score, after so many images."""

    def failed(self, candidate: Any, error: Exception) -> None:
        """Scoring raised. A source without another try raises the error."""


def run_trials(
    source: Source, space: Space, scorer: Scorer, trials: int, reporter: Reporter, *, early_stopping: bool
) -> None:
    """Score what the source gives until it has no more.

    Every trial records the value, and `keep_counts`, `macs`, `params`, `top1_agreement` and `seconds` of the candidate
    as user attributes. A candidate that was scored already is not scored again: its score is recorded.

    Args:
        source: of candidates.
        space: of the search.
        scorer: of the search.
        trials: how many there are to be, for the progress bar.
        reporter: where progress goes.
        early_stopping: stop looking at a candidate that is worse than the best beyond doubt.
    """
    done, incumbent = source.done(), None
    best = source.best() if early_stopping and done < trials else None
    if best is not None:  # scored again, for its losses image by image
        incumbent = scorer.score(best[0])
    with reporter.stage("mend", trials, done) as stage:
        while (candidate := source.take()) is not None:
            started = time.perf_counter()
            try:
                scored = scorer.score(candidate.counts, incumbent) if candidate.known is None else None
            except Exception as error:
                source.failed(candidate, error)
                continue
            attrs = _attributes(space, candidate.counts) | {"seconds": time.perf_counter() - started}
            if scored is not None:
                attrs["top1_agreement"] = scored.top1_agreement
            value = candidate.known if scored is None else scored.value
            source.record(
                candidate, value, attrs, len(scored.losses) if scored is not None and scored.stopped else None
            )
            if early_stopping and scored is not None and _beats(scored, incumbent):
                incumbent = scored
            found = source.best()
            stage.advance("" if found is None else f"best score {found[1]:.4f}", source.done())


def _attributes(space: Space, counts: Ints) -> dict[str, Any]:
    cost = space.limits.costs.cost(counts)
    return {KEEP_COUNTS: space.coupling.keep_counts(counts), "macs": cost["macs"], "params": cost["params"]}


def _beats(scored: Scored, incumbent: Scored | None) -> bool:
    return not scored.stopped and math.isfinite(scored.value) and (incumbent is None or scored.value > incumbent.value)
