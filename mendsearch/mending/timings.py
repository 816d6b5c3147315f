"""Where the seconds of candidates go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Timings:
    """Seconds spent by step, summed over candidates."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("slice", "reconstruct", "recalibrate", "validate"), 0.0)
    )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time within the scope to `name`."""
        started = perf_counter()
        yield
        self.seconds[name] += perf_counter() - started
