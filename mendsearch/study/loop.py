"""The loop of trials: take a candidate from a source, score it, record the result."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

from mendsearch.coupling.layout import Ints
from mendsearch.mending.scoring import Scored, Scorer
from mendsearch.mending.space import Space
from mendsearch.progress import Reporter, shown

KEEP_COUNTS = "keep_counts"


class Candidate(Protocol):
    """A candidate that a source gave.

    Attributes:
        counts: (G,) int64, keep counts.
        known: its score, if it was scored before.
    """

    counts: Ints
    known: float | None


class Source(Protocol):
    """Gives candidates and takes their results: a study in memory, or the queue of a fleet."""

    def done(self) -> int:
        """Number of trials that ended with a score, of all workers."""

    def best(self) -> tuple[Ints, float] | None:
        """The best complete candidate so far and its score; None if there is none yet."""

    def take(self) -> Any | None:
        """The next `Candidate`; None if the search is done or was asked to stop."""

    def record(self, candidate: Any, value: float, attrs: Mapping[str, Any], stopped_at: int | None) -> None:
        """Record the score of a candidate; with `stopped_at`, an estimate made after that number of images."""

    def failed(self, candidate: Any, error: Exception) -> None:
        """Record that scoring raised an error. A source that does not retry raises it."""


def run_trials(
    source: Source, space: Space, scorer: Scorer, trials: int, reporter: Reporter, *, early_stopping: bool
) -> None:
    """Score the candidates of a source until there are no more.

    Every trial records its value and, as user attributes, `keep_counts`, `macs`, `params`, `seconds`, `rung` (how its
    weights were compensated: `sequence` unless the spec says otherwise), and where the score has them `top1_agreement`
    and `divergences`. A candidate that was scored before is not scored again; its score is recorded.

    Args:
        source: source of the candidates.
        space: search space.
        scorer: scorer of the search.
        trials: number of trials in all, for the progress bar.
        reporter: where progress goes.
        early_stopping: whether to stop scoring a candidate once it is clearly worse than the incumbent.
    """
    done, incumbent, rung = source.done(), None, scorer.weights.kind
    best = source.best() if early_stopping and done < trials else None
    if best is not None:  # scored again, for its losses on each image
        incumbent = scorer.score(best[0])
    with reporter.stage("mend", trials, done) as stage:
        repeated = False
        while (candidate := source.take()) is not None:
            if candidate.known is not None and not repeated:
                repeated = True
                reporter.say("a structure comes up again, with the score it has: the search space may be exhausted")
            started = time.perf_counter()
            try:
                scored = scorer.score(candidate.counts, incumbent) if candidate.known is None else None
            except Exception as error:
                source.failed(candidate, error)
                continue
            attrs = _attributes(space, candidate.counts) | {"seconds": time.perf_counter() - started, "rung": rung}
            if scored is not None:
                attrs |= _made_of(scored)
            value = candidate.known if scored is None else scored.value
            source.record(
                candidate, value, attrs, len(scored.losses) if scored is not None and scored.stopped else None
            )
            if early_stopping and scored is not None and _beats(scored, incumbent):
                incumbent = scored
            found = source.best()
            stage.advance("" if found is None else f"best score {shown(found[1])}", source.done())


def _attributes(space: Space, counts: Ints) -> dict[str, Any]:
    cost = space.limits.costs.cost(counts)
    further = space.limits.costs.costs(counts, set(space.limits.absolute) - set(cost))
    return {
        KEEP_COUNTS: space.coupling.keep_counts(counts),
        "macs": cost["macs"],
        "params": cost["params"],
        **{name: float(value) for name, value in further.items()},
    }


def _made_of(scored: Scored) -> dict[str, Any]:
    agreement = {} if scored.top1_agreement is None else {"top1_agreement": scored.top1_agreement}
    finite = {name: value for name, value in scored.divergences.items() if math.isfinite(value)}
    return agreement | ({"divergences": finite} if finite else {})


def _beats(scored: Scored, incumbent: Scored | None) -> bool:
    return not scored.stopped and math.isfinite(scored.value) and (incumbent is None or scored.value > incumbent.value)
