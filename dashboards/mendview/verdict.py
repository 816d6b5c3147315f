"""How a search goes: its state, and a verdict in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mendstore.queries.fleet import FleetStatus
from mendstore.queries.ladder import Ladder
from mendstore.queries.pace import Pace
from mendstore.queries.searches import Search
from mendstore.queries.trials import Trial
from mendstore.records import SIGNIFICANT, PrunedRow, RunResult, title
from mendview.ladder import left as ladder_left
from mendview.ladder import said as ladder_said
from mendview.words import plural, signed, span

Tone = Literal["good", "fair", "bad", "calm"]
STUCK = 20
"""Median trials without an end before a search with live workers counts as stuck."""
STUCK_S = 120.0
STUCK_FIRST_S = 900.0
"""Seconds for the same before any trial has ended."""
FAILING = 0.25
"""Fraction of recent attempts that failed, above which a search is in trouble."""


def _quiet(pace: Pace, for_s: float) -> bool:
    return for_s > (STUCK_FIRST_S if pace.usual_s is None else max(STUCK_S, STUCK * pace.usual_s))


def state_of(search: Search, pace: Pace, fleet: FleetStatus, ladder: Ladder | None = None) -> str:
    """running, fine-tuning, finished, stopped, stopping, waiting, halted, stuck, idle or empty."""
    if search.wanted is None:
        if search.result:
            return "finished"
        return "empty" if not pace.states else "idle" if _quiet(pace, pace.quiet_s) else "running"
    if pace.done >= search.wanted:
        if ladder.over if ladder is not None else search.result or not fleet.alive:
            return "finished"
        if fleet.alive and not search.stopping:
            return "fine-tuning"
    if search.stopping:
        return "stopping" if fleet.alive else "stopped"
    if not fleet.alive:
        return "halted" if fleet.all else "waiting"
    since_s = min(pace.quiet_s, fleet.here_s)  # after a pause, workers that have just joined are not stuck
    return "stuck" if _quiet(pace, since_s) else "running"


def verdict_of(
    search: Search,
    state: str,
    pace: Pace,
    fleet: FleetStatus,
    best: Trial | None,
    since: int,
    controls: Mapping[str, float],
    ladder: Ladder | None = None,
) -> tuple[Tone, str]:
    """The tone of a search, and its verdict as a sentence."""
    left = "" if search.wanted is None else _left(max(0, search.wanted - pace.done), ladder)
    if state == "finished":
        tone, said = _finished(search, best, controls)
        of = search.result.scored_trials if search.result else 0
        if ladder is not None and not search.result:
            return "calm", f"Its trials are done. {ladder_said(ladder)} `run` exports it, where it was created."
        return tone, f"{said} The result is of the first {of:,} trials." if 0 < of < pace.done else said
    if state == "fine-tuning":
        return "good", "Its trials are done. Choosing the finalists." if ladder is None else ladder_said(ladder)
    fixed: dict[str, tuple[Tone, str]] = {
        "empty": ("calm", "No trial yet."),
        "idle": ("calm", f"Quiet: no trial ended for {span(pace.quiet_s)}."),
        "waiting": ("calm", f"Waiting for its first worker: {left}."),
        "halted": ("bad", f"Halted: no worker is alive, {left}.{_last_failure(fleet)}"),
        "stopping": ("calm", f"Stopping: workers end after their current work, {left}."),
        "stopped": ("calm", f"Stopped: {left}. Resume it to continue."),
        "stuck": ("bad", f"Stuck: workers are alive, but no trial ended for {span(pace.quiet_s)}."),
    }  # fmt: skip
    if state in fixed:
        return fixed[state]
    if pace.recent >= 10 and pace.failing > FAILING * pace.recent:
        return "bad", f"In trouble: {pace.failing} of the last {pace.recent} trials failed."
    if best is None:
        return "calm", "Started; no score yet."
    found = "just now" if since < 2 else f"{plural(since, 'trial')} ago"
    if since <= max(20, pace.done // 5):
        return "good", f"Going well: the best was found {found}."
    return "fair", f"Levelling off: nothing better for {plural(since, 'trial')}."


def _left(trials: int, ladder: Ladder | None) -> str:
    """What is left to do, in words."""
    return f"{plural(trials, 'trial')} to go" if trials or ladder is None else ladder_left(ladder)


def _last_failure(fleet: FleetStatus) -> str:
    return f" The last failure: {fleet.last_failure.rstrip('.')}." if fleet.last_failure else ""


def _finished(search: Search, best: Trial | None, controls: Mapping[str, float]) -> tuple[Tone, str]:
    result = search.result
    if result:
        return chosen(result)
    if best is not None and best.score is not None and controls:
        ahead = search.sign * (best.score - max(controls.values(), key=lambda value: search.sign * value))
        side = "above" if search.sign * ahead > 0 else "below"
        text = f"Finished: its score is {abs(ahead):.4f} {side} the better control's; not fine-tuned yet."
        return ("good" if ahead > 0 else "fair"), text
    return "good", "Finished."


def chosen(result: RunResult) -> tuple[Tone, str]:
    """The tone, and whether mending paid: the exported network against the controls at equal fine-tuning."""
    if result.best not in (None, result.exported):
        return "fair", (
            f"Finished: {title(result.best)} {_first(result.finalists[result.best])}, but misses the budget in time. "
            f"{title(result.exported).capitalize()} is the best that meets it, and was exported."
        )
    if not result.mending_paid:
        return "fair", (
            f"Finished: mending did not pay here. {title(result.exported).capitalize()} {_first(result.winner)}, and "
            f"was exported."
        )
    lead, name = min((_lead(result, control), control) for control in result.controls)
    scale, digits, unit = (100, 2, "points") if result.metric is None else (1, 4, f"in {result.figure_name}")
    ahead, noise = scale * lead.value, scale * lead.noise
    by = f"{signed(ahead, digits)}{f' ± {noise:.{digits}f}' if noise else ''} {unit}"
    if ahead > noise:
        return "good", f"Finished: {title(result.exported)}, {by} over {title(name)}{lead.images}."
    side = "behind" if ahead < -noise else "level with"
    return "fair", f"Finished: {title(result.exported)}, {side} {title(name)} ({by}{lead.images})."


def _first(row: PrunedRow) -> str:
    """In what the best finalist is the best."""
    if row.part:
        return "ended best on validation"
    return "has the best score" if len(row.validation) < 2 else "is best on validation, without its fine-tuning"


@dataclass(frozen=True, order=True)
class _Lead:
    """By how much the exported network leads a control: the value, half its 95% interval, and on which images."""

    value: float
    noise: float
    images: str


def _lead(result: RunResult, control: str) -> _Lead:
    """The lead at the last rung that both reached; without figures of the validation split, that on the test split."""
    ours, theirs = result.winner, result.finalists[control]
    if theirs.lead is not None:
        return _Lead(
            theirs.lead.value, SIGNIFICANT * theirs.lead.error, _images(result.validation_images, "validation")
        )
    both = min(len(ours.validation), len(theirs.validation))
    first, second, count, split = (
        (ours.validation[both - 1], theirs.validation[both - 1], result.validation_images, "validation")
        if both
        else (result.figures[result.exported] or 0.0, result.figures[control] or 0.0, result.test_images, "test")
    )
    error = 0.0 if result.metric is not None or first == second else _error(first, second, count)
    return _Lead(first - second, SIGNIFICANT * error, _images(count, split))


def _images(count: int | None, split: str) -> str:
    return f", on {count:,} {split} images" if count else ""


def _error(first: float, second: float, images: int | None) -> float:
    """Standard error of the difference of two accuracies, as if each had images of its own."""
    spread = sum(max(0.0, part * (1 - part)) for part in (first, second))
    return math.sqrt(spread / images) if images else 0.0
