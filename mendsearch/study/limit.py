"""The time that a search has for its trials."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeLimit:
    """Ends the trials of a search when its time is over, for all its workers.

    Args:
        seconds: time from the first trial on; None for no limit.
        under_way_s: function that gives the seconds since the first trial began, or None before.
        end: function that ends the trials.
    """

    def __init__(self, seconds: float | None, under_way_s: Callable[[], float | None], end: Callable[[], None]) -> None:
        self._seconds, self._under_way_s, self._end = seconds, under_way_s, end
        self._ends_at: float | None = None

    def check(self) -> None:
        """End the trials if it is time. The beginning is asked for until there is one, and then known."""
        if self._seconds is None:
            return
        if self._ends_at is None:
            since_s = self._under_way_s()
            if since_s is None:
                return
            self._ends_at = time.monotonic() + self._seconds - since_s
        if time.monotonic() >= self._ends_at:
            self._seconds = None
            self._end()
