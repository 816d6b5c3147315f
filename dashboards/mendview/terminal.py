"""A search at a glance, in a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

import mendstore
from mendstore.queries.devices import Devices
from mendview import devices, ladder, overview
from mendview.figures.network import movers
from mendview.overview import Overview
from mendview.words import count, score, span

STYLES = {"good": "green", "fair": "yellow", "bad": "bold red", "calm": "cyan"}
EVERY_S = 2.0
GOING_ON, NEEDS_SOMEONE = 5, 6
"""Exit codes of `status --check` for a search that has not finished."""
GOES_ON = ("running", "fine-tuning", "stopping", "empty", "idle")
HEADINGS = (
    "search", "budget", "state", "trials", "working", "waiting", "failed", "best score", "workers", "time left",
)  # fmt: skip
CAPTION = (
    "trials: ended with a score, of those asked for. working: candidates that workers score now. waiting: candidates "
    "that no worker has taken yet. failed: attempts that gave no score; the candidate is tried again. workers: alive. "
    "A search is waiting before its first worker, halted without one alive, stuck where some are and no trial ends."
)


def at_a_glance(seen: Overview) -> RenderableType:
    """One search: how it goes, the best network, what mending changed, the fleet, the end."""
    answers = Table.grid(padding=(0, 2))
    answers.add_column(style="dim", no_wrap=True)
    answers.add_column(overflow="fold")
    for heading, lines in (
        ("best network", [overview.headline(seen), *overview.controls(seen)]),
        ("mending changed", _changes(seen)),
        ("fine-tuning", [] if seen.ladder is None else ladder.lines(seen.ladder)),
        ("fleet", _fleet(seen)),
        ("device workers", [] if seen.devices is None else devices.lines(seen.devices)),
        ("ends", [overview.ending(seen)]),
    ):
        if not lines:
            continue
        answers.add_row(heading, Text("\n".join(lines)))
    wanted = seen.search.wanted
    bar = [ProgressBar(total=wanted, completed=min(seen.pace.done, wanted), width=60)] if wanted else []
    verdict = Text(seen.verdict, style=STYLES[seen.tone])
    lacking = [Text(f"shown without {reason}", style="yellow") for reason in seen.search.unreadable]
    title = f"{escape(seen.search.name)} [dim]{seen.state}, {overview.progress(seen)}[/dim]"
    return Panel(
        Group(verdict, *lacking, *bar, Text(""), answers),
        title=title,
        title_align="left",
        border_style=STYLES[seen.tone],
    )


def devices_alone(name: str, found: Devices) -> RenderableType:
    """The device workers of a name that no search has yet."""
    title = f"{escape(name)} [dim]no search yet[/dim]"
    return Panel(Text("\n".join(devices.lines(found))), title=title, title_align="left", border_style=STYLES["calm"])


def searches_table(found: Iterable[Overview]) -> Table:
    """Searches of a database, one a line."""
    table = Table(title="searches", caption=CAPTION, caption_justify="left")
    for heading in HEADINGS:
        left = heading in ("search", "budget", "state", "time left")
        table.add_column(heading, justify="left" if left else "right", overflow="fold", no_wrap=heading == "search")
    for seen in found:
        fleet = seen.fleet
        ours = seen.search.wanted is not None
        table.add_row(
            Text(seen.search.name),
            overview.budget(seen),
            Text(seen.state, style=STYLES[seen.tone]),
            overview.progress(seen).removesuffix(" trials"),
            count(fleet.working if ours else seen.pace.states.get("running", 0)),
            count(fleet.waiting if ours else seen.pace.states.get("waiting", 0)),
            count(seen.pace.states.get("failed", 0)),
            "" if seen.best is None else score(seen.best.score),
            str(fleet.alive) if ours else "",
            _time_left(seen),
        )
    return table


def _time_left(seen: Overview) -> str:
    if seen.left_s is not None:
        return span(seen.left_s)
    return {"finished": "none", "running": "not known yet"}.get(seen.state, "")


def check_line(seen: Overview) -> tuple[int, str]:
    """What a script asks of a search: the exit code of `status --check`, and one line.

    Returns:
        0 if it has finished; `GOING_ON` if workers are at it; `NEEDS_SOMEONE` if it does not go on by itself.
    """
    code = 0 if seen.state == "finished" else GOING_ON if goes_on(seen) else NEEDS_SOMEONE
    best = "no score yet" if seen.best is None else f"best score {score(seen.best.score)}"
    left = f", {span(seen.left_s)} left" if seen.left_s is not None else ""
    return code, f"{seen.search.name}: {seen.state}, {overview.progress(seen)}, {best}{left}"


def goes_on(seen: Overview) -> bool:
    """Whether workers are at it."""
    return seen.state in GOES_ON


def watch(
    read: Callable[[], Overview],
    console: Console,
    every_s: float = EVERY_S,
    going: Callable[[Overview], bool] = lambda seen: seen.live,
) -> None:
    """Show a search until it has ended; an outage of the database is shown and waited for.

    Args:
        read: reads the search from the database.
        console: console to show it on; if it is no terminal, a line is printed for each change.
        every_s: seconds between two reads.
        going: whether to go on showing a search.
    """
    shown: RenderableType = Text("asking the database…")
    said = ""
    with (
        Live(shown, console=console, auto_refresh=False, transient=False) if console.is_terminal else _Nothing() as live
    ):
        while True:
            over = False
            try:
                seen = read()
                shown, line, over = at_a_glance(seen), _line(seen), not going(seen)
                renderable = shown
            except mendstore.StorageError as error:
                line = f"the database cannot be reached: {error}"
                renderable = Group(Text(line, style=STYLES["bad"]), shown)
            if isinstance(live, Live):
                live.update(renderable, refresh=True)
            elif line != said:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            said = line
            if over:
                return
            time.sleep(every_s)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def _line(seen: Overview) -> str:
    parts = (
        f"{seen.search.name}: {overview.progress(seen)}",
        f"best: {overview.headline(seen)}",
        overview.fleet(seen),
        f"ends: {overview.ending(seen)}",
    )
    return f"{', '.join(parts)}. {seen.verdict}"


def _changes(seen: Overview) -> list[str]:
    moved = [f"{change.group} {change.control} → {change.kept} of {change.width}" for change in movers(seen.changes, 3)]
    return [overview.mending(seen), *moved]


def _fleet(seen: Overview) -> list[str]:
    lines, fleet = [overview.fleet(seen)], seen.fleet
    if seen.pace.rate and seen.live and seen.state == "running":
        lines[0] += f", {count(3600 * seen.pace.rate)} trials an hour"
    failed = seen.pace.states.get("failed", 0)
    known = (
        (fleet.silent, "silent"),
        (fleet.lost, "lost"),
        (fleet.set_aside, "set aside"),
        (failed, "attempts failed"),
    )
    trouble = ", ".join(f"{number} {text}" for number, text in known if number)
    return [*lines, trouble] if trouble else lines
