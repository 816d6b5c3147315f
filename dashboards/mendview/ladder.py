"""The last rungs of a search in words: how many finalists reached which rung, who works on what, how ranks changed."""

from __future__ import annotations

from typing import Any

from mendstore.queries.ladder import FineTuning, Ladder, LadderFinalist
from mendstore.records import title
from mendview.words import percent, plural, score, span


def said(ladder: Ladder) -> str:
    """How far it is, as a sentence."""
    if ladder.choice != "done":
        return "Choosing the finalists." if ladder.choice != "set_aside" else "The finalists could not be chosen."
    if not ladder.parts:
        return f"{plural(len(ladder.distinct), 'finalist')} chosen, without fine-tuning."
    done = _ended(ladder)
    if ladder.over:
        return f"All {plural(done, 'fine-tuning')} done; {best(ladder)}."
    return f"Fine-tuning: {done} of {sum(ladder.places)} done{'' if ladder.best is None else '; ' + best(ladder)}."


def left(ladder: Ladder) -> str:
    """What is left to do on it, as part of a sentence."""
    if ladder.choice != "done":
        return "finalists to be chosen"
    return f"{plural(sum(ladder.places) - _ended(ladder), 'fine-tuning')} to go"


def best(ladder: Ladder) -> str:
    """The finalist that stands best so far, in words."""
    found = ladder.best
    if found is None:
        return "none is fine-tuned yet"
    last = found.done[-1]
    return f"{title(found.name)} is ahead, {score(last.value)} on validation at {percent(ladder.parts[last.rung], 0)}"


def best_names(ladder: Ladder) -> str:
    """All names of the finalist that stands best so far; empty before one is fine-tuned."""
    return "" if ladder.best is None else _names(ladder, ladder.best)


def lines(ladder: Ladder) -> list[str]:
    """The same in a few lines, with who works on what and how ranks changed."""
    counted = [
        f"{percent(part, 0)}: {sum(len(finalist.done) > rung for finalist in ladder.distinct)} of {places}"
        for rung, (part, places) in enumerate(zip(ladder.parts, ladder.places, strict=True))
    ]
    known = [f"finalists at {', '.join(counted)}"] if counted else []
    working = [f"{title(finalist.name)} {now(ladder, finalist)}" for finalist in ladder.distinct if _held(finalist)]
    moved = [f"{title(name)} {' → '.join(map(str, found))}" for name, found in ranks(ladder).items() if len(found) > 1]
    changes = [f"ranks by score and at each rung: {', '.join(moved)}"] if moved else []
    return [said(ladder), *known, *working, *changes]


def ranks(ladder: Ladder) -> dict[str, list[int]]:
    """By finalist, its rank by score, then at each rung that it reached; 1 is the best."""
    finalists = ladder.distinct
    found = {finalist.name: [rank] for rank, finalist in enumerate(sorted(finalists, key=_minus_score), start=1)}
    for rung in range(len(ladder.parts)):
        there = [(finalist, finalist.done[rung]) for finalist in finalists if len(finalist.done) > rung]
        there.sort(key=lambda pair: (-(pair[1].value or 0.0), -(pair[1].tie or 0.0)))
        for rank, (finalist, _) in enumerate(there, start=1):
            found[finalist.name].append(rank)
    return {finalist.name: found[finalist.name] for finalist in finalists}


def now(ladder: Ladder, finalist: LadderFinalist) -> str:
    """What is done with a finalist, in words."""
    if not finalist.fine_tunings:
        return ""
    last = finalist.fine_tunings[-1]
    target = percent(ladder.parts[last.rung], 0)
    if last.state == "leased":
        passes = f", {plural(last.epoch, 'pass', 'passes')} kept" if last.epoch else ""
        return f"to {target}: worker {last.ordinal} for {span(last.held_s)}{passes}"
    if last.state == "done":
        return "" if last.rung + 1 < len(ladder.parts) else "has had the whole"
    return f"to {target}: {'set aside' if last.state == 'set_aside' else 'waits'}"


def headings(ladder: Ladder) -> list[str]:
    """Headings of `rows`."""
    return ["finalist", "score", *(percent(part, 0) for part in ladder.parts), "now"]


def rows(ladder: Ladder) -> list[list[str]]:
    """By finalist: score and standing at each rung, with the rank in brackets, and what is done with it now."""
    found = []
    for finalist in ladder.distinct:
        rank = ranks(ladder)[finalist.name]
        values = [finalist.score, *(step.value for step in finalist.done)]
        cells = [f"{score(value)} ({place})" for value, place in zip(values, rank, strict=True)]
        cells += [""] * (1 + len(ladder.parts) - len(cells))
        found.append([_names(ladder, finalist), *cells, now(ladder, finalist)])
    return found


def summary(ladder: Ladder | None) -> dict[str, Any] | None:
    """The same as plain values."""
    if ladder is None:
        return None
    return {
        "choice": ladder.choice, "over": ladder.over,
        "places": dict(zip(map(str, ladder.parts), ladder.places, strict=True)),
        "best": None if ladder.best is None else ladder.best.name, "ranks": ranks(ladder),
        "validation": {finalist.name: [step.value for step in finalist.done] for finalist in ladder.distinct},
    }  # fmt: skip


def _names(ladder: Ladder, finalist: LadderFinalist) -> str:
    return ", ".join(title(other.name) for other in ladder.finalists if other.key == finalist.key)


def _ended(ladder: Ladder) -> int:
    return sum(step.state in ("done", "set_aside") for step in ladder.steps)


def _held(finalist: LadderFinalist) -> bool:
    steps: tuple[FineTuning, ...] = finalist.fine_tunings
    return bool(steps) and steps[-1].state == "leased"


def _minus_score(finalist: LadderFinalist) -> float:
    return float("inf") if finalist.score is None else -finalist.score
