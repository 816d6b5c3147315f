"""Progress on stderr: live bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

PLAIN_INTERVAL_S = 5.0
STILL_INTERVAL_S = 60.0
"""Pause between two plain lines while no step is done."""
SMALL = 5e-4
"""Scores below which four decimals show next to nothing."""


@dataclass(frozen=True)
class Progress:
    """How far a call is.

    Attributes:
        stage: `rank`, `mend`, `refine` or `fine-tune`.
        done: steps of the stage that are done.
        total: steps of the stage in all.
        note: a few words on the current state, such as the best score.
    """

    stage: str
    done: int
    total: int
    note: str


OnProgress = Callable[[Progress], None]


class Stage:
    """A stage in progress; call `advance` after each of its steps."""

    def __init__(self, reporter: Reporter, title: str, total: int, done: int) -> None:
        self._reporter, self._title, self._total, self._done = reporter, title, total, done
        self._first, self._started = done, time.monotonic()
        self._said, self._shown = self._started, done
        self._task = reporter.bars.add_task(title, total=total, completed=done, note="") if reporter.bars else None

    def advance(self, note: str = "", done: int | None = None) -> None:
        """Report progress.

        Args:
            note: a few words on the current state, such as the loss.
            done: number of steps done, if other processes work on the stage too; one more than before if None.
        """
        self._done = self._done + 1 if done is None else done
        if self._reporter.on_progress is not None:
            self._reporter.on_progress(Progress(self._title, self._done, self._total, note))
        if self._reporter.bars is not None and self._task is not None:
            self._reporter.bars.update(self._task, completed=self._done, note=note)
        elif self._due() or self._done == self._total:
            self._said, self._shown = time.monotonic(), self._done
            self._reporter.say(f"{self._title}: {self._done}/{self._total} {note} {self._time_left()}".rstrip())

    def _due(self) -> bool:
        pause_s = PLAIN_INTERVAL_S if self._done != self._shown else STILL_INTERVAL_S
        return time.monotonic() - self._said >= pause_s

    def _time_left(self) -> str:
        if self._done >= self._total:
            return f"({time.monotonic() - self._started:.0f} s)"
        if self._done == self._first:
            return ""
        pace_s = (time.monotonic() - self._started) / max(1, self._done - self._first)
        return f"({pace_s * (self._total - self._done):.0f} s left)"


class Reporter:
    """Writes progress to stderr; `Reporter(quiet=True)` writes nothing.

    Args:
        quiet: whether to write nothing.
        on_progress: function that is called at each step of a stage, or None.
    """

    def __init__(self, *, quiet: bool = False, on_progress: OnProgress | None = None) -> None:
        self.on_progress = on_progress
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.bars: Bars | None = None
        self._quiet = quiet

    def say(self, line: str) -> None:
        """Write one line."""
        if self.console.is_terminal:
            self.console.print(line, markup=False, soft_wrap=True)
        elif not self._quiet:
            print(line, file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Stage]:
        """Begin a stage of `total` steps, of which `done` are already done."""
        if self._quiet or not self.console.is_terminal:
            yield Stage(self, title, total, done)
            return
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=self.console) as bars:
            self.bars = bars
            try:
                yield Stage(self, title, total, done)
            finally:
                self.bars = None


def shown(score: float, *, beside: float = 0.0, signed: bool = False) -> str:
    """A score, or a difference of two, with four decimals, or three digits where those would show next to nothing.

    Args:
        score: the score.
        beside: a number that is shown beside it, in the same form.
        signed: whether a plus is shown.
    """
    form = "+" if signed else ""
    return f"{score:{form}.2e}" if 0 < max(abs(score), abs(beside)) < SMALL else f"{score:{form}.4f}"
