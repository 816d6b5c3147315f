"""The five-second answer: how it goes, how good the best network is, what mending changed, the fleet, the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mendview import trials, workers
from mendview.pace import Pace, pace_of
from mendview.reading import Look
from mendview.searches import Search
from mendview.structure import CONTROLS, TITLES, Counts, Structure
from mendview.trials import Trial
from mendview.verdict import Tone, state_of, verdict_of
from mendview.words import amount, count, percent, plural, score, signed, span
from mendview.workers import Crew


@dataclass(frozen=True)
class Change:
    """What a structure does to one coupling group.

    Attributes:
        group: its name.
        width: channels of the dense network.
        floor: channels from which mending started.
        control: channels of the pre-pruned network.
        kept: channels that stay.
    """

    group: str
    width: int
    floor: int
    control: int
    kept: int


@dataclass(frozen=True)
class Overview:
    """A search at a glance.

    Attributes:
        search: what does not change from trial to trial.
        state: running, finished, stopped, stopping, waiting, halted, stuck, idle or empty.
        tone: whether it goes well.
        verdict: the same in a sentence.
        top: the best trials, best first.
        controls: scores of `pre_pruned` and `uniform`, where known, as trials are scored.
        changes: by coupling group in network order, of the best trial or of the result.
        pace: how trials come in.
        crew: the workers.
        left_s: seconds until it ends, or None.
        since_best: trials that ended after the best one was found.
    """

    search: Search
    state: str
    tone: Tone
    verdict: str
    top: list[Trial]
    controls: Mapping[str, float]
    changes: list[Change]
    pace: Pace
    crew: Crew
    left_s: float | None
    since_best: int

    @property
    def best(self) -> Trial | None:
        """The best trial."""
        return next(iter(self.top), None)

    @property
    def chosen(self) -> Trial | None:
        """The trial whose structure the result has."""
        result = self.search.results.get("mended", {}).get("keep_counts")
        return next((trial for trial in self.top if result and trial.keep_counts == result), None)

    @property
    def live(self) -> bool:
        """Whether anything is still to come."""
        return self.state not in ("finished", "stopped")


def overview(look: Look, search: Search) -> Overview:
    """A search at a glance."""
    pace, crew = pace_of(look, search), workers.crew(look, search)
    top = trials.top(look, search) if search.objectives == 1 else []
    best, controls = next(iter(top), None), search.structure.controls
    since = _since(look, search, best)
    left_s = _left(search, pace)
    state = state_of(search, pace, crew)
    tone, verdict = verdict_of(search, state, pace, crew, best, since, controls)
    return Overview(
        search=search, state=state, tone=tone, verdict=verdict, top=top, controls=controls,
        changes=changes(search.structure, mended(search, best)), pace=pace, crew=crew,
        left_s=left_s if state in ("running", "stuck", "stopping") else None, since_best=since,
    )  # fmt: skip


def mended(search: Search, best: Trial | None) -> Counts:
    """The mended structure: that of the result, else that of the best trial."""
    result: Counts = search.results.get("mended", {}).get("keep_counts", {})
    return result or (best.keep_counts if best else {})


def changes(structure: Structure, kept: Counts) -> list[Change]:
    """What a structure does to every coupling group, in network order."""
    return [
        Change(name, width, structure.floor.get(name, 0), structure.pre_pruned.get(name, width), min(kept[name], width))
        for name, width in structure.widths.items()
        if name in kept
    ]


def progress(seen: Overview) -> str:
    """`4,321 of 10,000 trials`."""
    done = count(seen.pace.done)
    return f"{done} trials" if seen.search.wanted is None else f"{done} of {count(seen.search.wanted)} trials"


def ending(seen: Overview) -> str:
    """When it ends, in words."""
    if seen.state == "finished":
        return "it has ended"
    if seen.left_s is not None:
        return f"in about {span(seen.left_s)}"
    if seen.search.wanted is None:
        return "no number of trials is set"
    return {
        "stopped": "not before it is resumed",
        "halted": "not without workers",
        "waiting": "not without workers",
    }.get(seen.state, "not known yet")


def fleet(seen: Overview) -> str:
    """The workers, in words."""
    crew = seen.crew
    if not crew.all:
        return "no worker has joined" if seen.search.wanted is not None else "workers of stock Optuna are not known"
    if seen.state == "finished":
        return f"{plural(crew.all, 'worker')} took part"
    return f"{plural(crew.alive, 'worker')} alive" if crew.alive else f"no worker alive of {crew.all} that joined"


def mending(seen: Overview) -> str:
    """What mending changed against the pre-pruned network, in words."""
    wider = [change for change in seen.changes if change.kept > change.control]
    narrower = [change for change in seen.changes if change.kept < change.control]
    if not seen.changes:
        return "not known yet"
    same = len(seen.changes) - len(wider) - len(narrower)
    return f"{len(wider)} wider, {len(narrower)} narrower, {same} as pre-pruned"


def summary(seen: Overview) -> dict[str, Any]:
    """The same as plain values, for `status --json`."""
    best = seen.best
    return {
        "name": seen.search.name, "state": seen.state, "verdict": seen.verdict, "trials": seen.pace.states,
        "wanted": seen.search.wanted, "done": seen.pace.done, "best": None if best is None else best.score,
        "best_trial": None if best is None else best.number, "controls": dict(seen.controls),
        "workers": {"alive": seen.crew.alive, "silent": seen.crew.silent, "lost": seen.crew.lost},
        "trials_per_hour": None if seen.pace.rate is None else round(3600 * seen.pace.rate, 1),
        "seconds_left": None if seen.left_s is None else round(seen.left_s, 1),
    }  # fmt: skip


def _since(look: Look, search: Search, best: Trial | None) -> int:
    if best is None or best.ended is None:
        return 0
    row = look.one(
        "SELECT count(*) AS number FROM trials WHERE study_id = :study AND state IN ('COMPLETE', 'PRUNED')"
        " AND datetime_complete > :ended",
        study=search.study_id,
        ended=best.ended,
    )
    return int(row["number"])


def _left(search: Search, pace: Pace) -> float | None:
    if search.wanted is None or not pace.rate or pace.last is None:
        return None
    return max(0, search.wanted - pace.done) / pace.rate


def headline(seen: Overview) -> str:
    """The best score, in words."""
    row = seen.search.results.get("mended", {})
    if "accuracy" in row:
        of = f" (trial {seen.chosen.number})" if seen.chosen else ""
        return f"{percent(row['accuracy'], 2)} test accuracy{of}"
    return "no score yet" if seen.best is None else f"score {score(seen.best.score)} (trial {seen.best.number})"


def rivals(seen: Overview) -> list[str]:
    """What stands beside the best network, in words: the controls, and what it costs."""
    rows, best, dense = seen.search.results, seen.best, seen.search.structure.dense
    if "accuracy" in rows.get("mended", {}):
        known = [name for name in (*CONTROLS, "dense") if "accuracy" in rows.get(name, {})]
        lines = [f"{TITLES[name]} {percent(rows[name]['accuracy'], 2)}" for name in known]
    elif best is not None and best.score is not None:
        yardstick = f"of validation images get the class of {seen.search.structure.yardstick}"
        lines = [f"{percent(best.top1_agreement)} {yardstick}"] if best.top1_agreement is not None else []
        lines += [
            f"{TITLES[name]} {score(value)} ({signed(best.score - value)})" for name, value in seen.controls.items()
        ]
    else:
        lines = []
    macs = rows.get("mended", {}).get("macs", best.macs if best else None)
    if macs and dense.get("macs"):
        lines.append(f"{amount(macs)} MACs, {percent(macs / dense['macs'])} of dense")
    return lines
