"""A search at a glance: how it goes, the best network, what mending changed, the fleet, when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mendstore import Snapshot, command, launch_command
from mendstore.queries import trials
from mendstore.queries.devices import Devices
from mendstore.queries.devices import devices as devices_of
from mendstore.queries.fleet import FleetStatus, fleet_status
from mendstore.queries.ladder import Ladder
from mendstore.queries.ladder import ladder as ladder_of
from mendstore.queries.pace import Pace, pace_of
from mendstore.queries.registered import registered
from mendstore.queries.roles import workers_url
from mendstore.queries.searches import Search
from mendstore.queries.trials import Trial
from mendstore.records import CONTROLS, Counts, Structure, title
from mendview import devices as measuring
from mendview import ladder as climbing
from mendview.verdict import Tone, state_of, verdict_of
from mendview.words import agreeing, amount, cost, count, figure, percent, plural, score, signed, span


@dataclass(frozen=True)
class Change:
    """The change that a structure makes to one coupling group.

    Attributes:
        group: name of the coupling group.
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
        search: the search.
        state: running, fine-tuning, finished, stopped, stopping, waiting, halted, stuck, idle or empty.
        tone: whether it goes well: good, fair, bad or calm.
        verdict: the same as a sentence.
        todo: the command that lets it go on, or "".
        top: the best trials, best first.
        controls: scores of `pre_pruned` and `uniform`, where known, as trials are scored.
        changes: changes by the result or else by the best trial, in network order.
        pace: how trials come in.
        fleet: the workers.
        left_s: seconds until it ends, or None.
        since_best: trials that ended after the best one was found.
        ladder: the last rungs; None before they begin.
        devices: the device workers that serve it; None where none has joined.
    """

    search: Search
    state: str
    tone: Tone
    verdict: str
    todo: str
    top: list[Trial]
    controls: Mapping[str, float]
    changes: list[Change]
    pace: Pace
    fleet: FleetStatus
    left_s: float | None
    since_best: int
    ladder: Ladder | None
    devices: Devices | None

    @property
    def best(self) -> Trial | None:
        """The best trial."""
        return next(iter(self.top), None)

    @property
    def chosen(self) -> Trial | None:
        """The trial that became the exported network, if it is of the search."""
        result = self.search.result
        return next((trial for trial in self.top if result and trial.keep_counts == result.winner.keep_counts), None)

    @property
    def live(self) -> bool:
        """Whether more trials or fine-tunings are expected."""
        return self.state not in ("finished", "stopped")


def overview(snapshot: Snapshot, search: Search) -> Overview:
    """A search at a glance."""
    pace, fleet = pace_of(snapshot, search), fleet_status(snapshot, search)
    top = trials.top(snapshot, search) if search.objectives == 1 else []
    best, controls = next(iter(top), None), search.structure.controls
    since = _since(snapshot, search, best)
    left_s = _left(search, pace)
    ladder = None if search.wanted is None else ladder_of(snapshot, search.study_id)
    state = state_of(search, pace, fleet, ladder)
    tone, verdict = verdict_of(search, state, pace, fleet, best, since, controls, ladder)
    return Overview(
        search=search, state=state, tone=tone, verdict=verdict, todo=todo(snapshot, search, state), top=top,
        controls=controls, changes=changes(search.structure, mended(search, best)), pace=pace, fleet=fleet,
        left_s=left_s if state in ("running", "stuck", "stopping") else None, since_best=since, ladder=ladder,
        devices=None if search.wanted is None else devices_of(snapshot, search.name),
    )  # fmt: skip


def todo(snapshot: Snapshot, search: Search, state: str) -> str:
    """The command that lets a search go on, for a role that may do it; "" if it goes on, or has ended."""
    if state not in ("waiting", "halted", "stopped"):
        return ""
    url = workers_url(snapshot)
    if state == "stopped":
        return command("resume", url, search.name)
    found = registered(snapshot, search.name)
    return launch_command(url, search.name, found.spec if found else {})


def mended(search: Search, best: Trial | None) -> Counts:
    """The structure that is shown as mended: that of the exported network, or else of the best trial."""
    if search.result:
        return search.result.winner.keep_counts
    return best.keep_counts if best else {}


def changes(structure: Structure, kept: Counts) -> list[Change]:
    """The change that a structure makes to each coupling group, in network order."""
    return [
        Change(name, width, structure.floor.get(name, 0), structure.pre_pruned.get(name, width), min(kept[name], width))
        for name, width in structure.widths.items()
        if name in kept
    ]


def progress(seen: Overview) -> str:
    """`4,321 of 10,000 trials`."""
    done = count(seen.pace.done)
    return f"{done} trials" if seen.search.wanted is None else f"{done} of {count(seen.search.wanted)} trials"


def budget(seen: Overview) -> str:
    """`31.0 M MACs (40% of dense)`, each limit."""
    dense = seen.search.structure.dense
    return ", ".join(
        cost(name, limit) + (f" ({limit / dense[name]:.0%} of dense)" if dense.get(name) else "")
        for name, limit in seen.search.structure.budget.items()
    )


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
        "fine-tuning": "after the last fine-tuning",
        "halted": "not without workers",
        "waiting": "not without workers",
    }.get(seen.state, "not known yet")


def fleet(seen: Overview) -> str:
    """The workers, in words."""
    fleet = seen.fleet
    if not fleet.all:
        return "no worker has joined" if seen.search.wanted is not None else "the workers of stock Optuna are not known"
    if seen.state == "finished":
        return f"{plural(fleet.all, 'worker')} took part"
    alive = f"{plural(fleet.alive, 'worker')} alive" if fleet.alive else f"no worker alive of {fleet.all} that joined"
    local = seen.search.local_workers
    return alive if local is None else f"{alive}; the run on {local.process.host} is to have {local.number}"


def mending(seen: Overview) -> str:
    """What mending changed compared with the pre-pruned network, in words."""
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
        "name": seen.search.name, "state": seen.state, "verdict": seen.verdict, "next": seen.todo or None,
        "trials": seen.pace.states,
        "budget": dict(seen.search.structure.budget),
        "wanted": seen.search.wanted, "done": seen.pace.done, "best": None if best is None else best.score,
        "best_trial": None if best is None else best.number, "controls": dict(seen.controls),
        "working": seen.fleet.working, "waiting": seen.fleet.waiting,
        "workers": {"alive": seen.fleet.alive, "silent": seen.fleet.silent, "lost": seen.fleet.lost},
        "local_workers": seen.search.local_workers.number if seen.search.local_workers else None,
        "trials_per_hour": None if seen.pace.rate is None else round(3600 * seen.pace.rate, 1),
        "seconds_left": None if seen.left_s is None else round(seen.left_s, 1),
        "ladder": climbing.summary(seen.ladder), "devices": measuring.summary(seen.devices),
    }  # fmt: skip


def _since(snapshot: Snapshot, search: Search, best: Trial | None) -> int:
    if best is None or best.ended is None:
        return 0
    return trials.ended_since(snapshot, search, best.ended)


def _left(search: Search, pace: Pace) -> float | None:
    if search.wanted is None or not pace.rate or pace.last is None:
        return None
    return max(0, search.wanted - pace.done) / pace.rate


def headline(seen: Overview) -> str:
    """The best score, in words."""
    result = seen.search.result
    if result:
        of = f" (trial {seen.chosen.number})" if seen.chosen else ""
        return f"{figure(result.figures[result.exported], result)} test {result.figure_name}{of}"
    return "no score yet" if seen.best is None else f"score {score(seen.best.score)} (trial {seen.best.number})"


def made_of(seen: Overview, trial: Trial | None) -> list[tuple[str, Mapping[str, float]]]:
    """What scores are made of: divergences by output, of a trial and of the controls that have some.

    Args:
        seen: the search.
        trial: the trial in the first column; None leaves it out.
    """
    controls = seen.search.structure.control_divergences
    first = [] if trial is None or not trial.divergences else [(f"trial {trial.number}", trial.divergences)]
    return [*first, *((title(name), controls[name]) for name in CONTROLS if name in controls)]


def controls(seen: Overview) -> list[str]:
    """The controls beside the best network, and its cost, in words."""
    result, best, dense = seen.search.result, seen.best, seen.search.structure.dense
    if result:
        lines = [f"{title(name)} {figure(result.figures[name], result)}" for name in (*result.main_controls, "dense")]
    elif best is not None and best.score is not None:
        lines = [] if best.top1_agreement is None else [agreeing(best.top1_agreement, seen.search.structure)]
        lines += [
            f"{title(name)} {score(value)} ({signed(best.score - value)})" for name, value in seen.controls.items()
        ]
    else:
        lines = []
    macs = result.winner.macs if result else best.macs if best else None
    if macs and dense.get("macs"):
        lines.append(f"{amount(macs)} MACs, {percent(macs / dense['macs'])} of dense")
    return lines
