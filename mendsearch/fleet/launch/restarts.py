"""What a worker's exit code means, and when the next one is started in its place."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass

from mendsearch.errors import MendsearchError, UsageError
from mendstore.errors import StorageError

DONE = 0
USAGE = UsageError.exit_code
AWAY = StorageError.exit_code
MEANINGS = {
    DONE: "ended: the search is done or stopped",
    USAGE: "refused: wrong usage, version or code",
    AWAY: "ended: the database was away too long",
    MendsearchError.exit_code: "ended: the search failed, or the worker hung",
}


@dataclass(frozen=True)
class RestartPolicy:
    """When a worker that failed is started again.

    A pause doubles from `first_s` to `longest_s` with each failure in a row. A worker that lasted `healthy_s` had
    success: its failure is the first of a new row.

    Attributes:
        first_s: the pause after the first failure.
        longest_s: no pause is longer.
        healthy_s: a worker that lasts as long is no failed start.
        failures: so many in a row, and no other is started.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    healthy_s: float = 60.0
    failures: int = 5

    def pause_s(self, failures: int) -> float:
        """How long to wait after that many failures in a row; random, so that workers do not come back all at once."""
        return min(self.longest_s, self.first_s * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


def final(code: int) -> bool:
    """Whether another start would end in the same way."""
    return code in (DONE, USAGE)


def meaning(code: int) -> str:
    """An exit code in words.

    Args:
        code: negative where a signal ended the process, as `subprocess` has it; 128+n where it caught signal n.
    """
    if code in MEANINGS:
        return MEANINGS[code]
    if code < 0:
        return f"killed by {_signal_name(-code)}"
    if 128 < code < 128 + signal.NSIG:
        return f"ended by {_signal_name(code - 128)}, its work given back"
    return f"crashed with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
