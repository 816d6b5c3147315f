"""The last rungs of a search: who are the finalists, how far they are, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mendstore.reading import Row, Snapshot

State = Literal["waiting", "leased", "done", "set_aside"]


@dataclass(frozen=True)
class FineTuning:
    """The fine-tuning of a finalist from one rung to the next.

    Attributes:
        rung: number of the rung that it is brought to, from 0.
        state: waiting, leased, done or set aside.
        value: figure on the validation split; None before it is done.
        tie: what decides between equal values.
        weights: digest of the fine-tuned weights.
        seconds: time that it took.
        epoch: passes that the latest checkpoint has behind it.
        ordinal: ordinal of the worker that holds it or has done it, or None.
        held_s: seconds since that worker took it, while it is leased.
        log: what failed attempts left behind.
    """

    rung: int
    state: State
    value: float | None
    tie: float | None
    weights: str | None
    seconds: float | None
    epoch: int
    ordinal: int | None
    held_s: float | None
    log: str | None


@dataclass(frozen=True)
class LadderFinalist:
    """A finalist.

    Attributes:
        name: name in the result.
        key: key of the candidate; several names may stand for one.
        keep_counts: channels that stay, by coupling group.
        score: refined score, or None.
        number: number of its trial, if it was one.
        fine_tunings: from the first rung to the last one that it is promoted to.
    """

    name: str
    key: str
    keep_counts: Mapping[str, int]
    score: float | None
    number: int | None
    fine_tunings: tuple[FineTuning, ...]

    @property
    def done(self) -> tuple[FineTuning, ...]:
        """Fine-tunings that have ended, in the order of rungs."""
        return tuple(step for step in self.fine_tunings if step.state == "done")


@dataclass(frozen=True)
class Ladder:
    """The last rungs of a search.

    Attributes:
        recipe: digest of all that decides how finalists are fine-tuned.
        choice: how the choice of the finalists is: waiting, leased, done or set aside.
        log: what failed attempts at it left behind.
        chosen_s: seconds that it took.
        parts: fraction of the whole fine-tuning, of each rung.
        places: number of finalists, of each rung.
        finalists: in the order of a table.
    """

    recipe: str
    choice: State
    log: str | None = None
    chosen_s: float | None = None
    parts: tuple[float, ...] = ()
    places: tuple[int, ...] = ()
    finalists: tuple[LadderFinalist, ...] = field(default=())

    @property
    def distinct(self) -> tuple[LadderFinalist, ...]:
        """Finalists without further names of the same structure."""
        return tuple({finalist.key: finalist for finalist in reversed(self.finalists)}.values())[::-1]

    @property
    def steps(self) -> list[FineTuning]:
        """All fine-tunings that are known so far."""
        return [step for finalist in self.distinct for step in finalist.fine_tunings]

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.choice == "done" and all(step.state in ("done", "set_aside") for step in self.steps)

    @property
    def best(self) -> LadderFinalist | None:
        """The finalist that stands best at the last rung that it reached; None before one is fine-tuned."""
        reached = [finalist for finalist in self.distinct if finalist.done]
        return max(reached, key=_standing, default=None)


def ladder(snapshot: Snapshot, study_id: int, recipe: str | None = None) -> Ladder | None:
    """The last rungs of a search; None where they have not begun. Three round trips.

    Args:
        snapshot: the database.
        study_id: the study.
        recipe: digest of the recipe; by default that of the latest choice.
    """
    if not snapshot.ladder:
        return None
    choice = snapshot.first(
        """
        SELECT t.task_id, t.recipe, t.state, t.log, t.seconds, t.rungs FROM mend_tasks t JOIN mend_searches s
            ON s.study_id = t.study_id AND t.kind = 'choose' AND t.key = s.trials::text
        WHERE t.study_id = :study AND t.recipe = coalesce(:recipe, t.recipe) ORDER BY t.task_id DESC LIMIT 1
        """,
        study=study_id,
        recipe=recipe,
    )
    if choice is None:
        return None
    rungs = choice["rungs"] or []
    return Ladder(
        recipe=choice["recipe"],
        choice=choice["state"],
        log=choice["log"],
        chosen_s=choice["seconds"],
        parts=tuple(rung["part"] for rung in rungs),
        places=tuple(rung["places"] for rung in rungs),
        finalists=_finalists(snapshot, choice["task_id"]),
    )


def _finalists(snapshot: Snapshot, choice: int) -> tuple[LadderFinalist, ...]:
    named = snapshot.all(
        "SELECT f.name, f.key, f.keep_counts, f.score, t.number FROM mend_finalists f"
        " LEFT JOIN trials t USING (trial_id) WHERE f.choice = :choice ORDER BY f.position",
        choice=choice,
    )
    steps = snapshot.all(
        """
        SELECT t.key, t.rung, t.state, t.value, t.tie, t.weights, t.seconds, t.epoch, w.ordinal,
            left(t.log, 8000) AS log,
            CASE t.state WHEN 'leased' THEN extract(epoch FROM clock_timestamp() - t.leased_at) END AS held_s
        FROM mend_tasks c JOIN mend_rungs(c.task_id) r ON true JOIN mend_tasks t
            ON t.study_id = c.study_id AND t.recipe = c.recipe AND t.kind = 'finetune' AND t.rung = r.rung
            AND t.key = r.key
        LEFT JOIN mend_workers w ON w.worker_id = t.worker_id
        WHERE c.task_id = :choice ORDER BY t.rung
        """,
        choice=choice,
    )
    by_key: dict[str, list[FineTuning]] = {}
    for row in steps:
        by_key.setdefault(row.pop("key"), []).append(_step(row))
    return tuple(LadderFinalist(**row, fine_tunings=tuple(by_key.get(row["key"], ()))) for row in named)


def _step(row: Row) -> FineTuning:
    held_s = row.pop("held_s")
    return FineTuning(**row, held_s=None if held_s is None else float(held_s))


def _standing(finalist: LadderFinalist) -> tuple[float, float, int]:
    last = finalist.done[-1]
    assert last.value is not None
    return last.value, last.tie or 0.0, last.rung
