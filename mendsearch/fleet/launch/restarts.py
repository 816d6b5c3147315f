"""The meaning of a worker's exit code, and when it is started again."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass

from mendsearch.errors import MendsearchError, UsageError
from mendstore.errors import StorageError

DONE = 0
USAGE = UsageError.exit_code
UNREACHABLE = StorageError.exit_code
MEANINGS = {
    DONE: "ended: the search is done or stopped",
    USAGE: "refused: wrong usage, version or code",
    UNREACHABLE: "ended: the database could not be reached for too long",
    MendsearchError.exit_code: "ended: the search failed, or the worker hung",
}


@dataclass(frozen=True)
class RestartPolicy:
    """When a worker that failed is started again.

    The pause doubles from `first_s` to `longest_s` with each failure in a row. After a worker has run for `healthy_s`,
    its failure counts as the first again.

    Attributes:
        first_s: pause after the first failure, in seconds.
        longest_s: longest pause, in seconds.
        healthy_s: seconds after which a start counts as successful.
        failures: number of failures in a row after which no other worker is started.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    healthy_s: float = 60.0
    failures: int = 5

    def pause_s(self, failures: int) -> float:
        """Pause after that many failures in a row; random, so that workers do not all restart at once."""
        return min(self.longest_s, self.first_s * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


def final(code: int) -> bool:
    """Whether another start would end in the same way, so that there is none."""
    return code in (DONE, USAGE)


def meaning(code: int) -> str:
    """An exit code in words.

    Args:
        code: exit code as in `subprocess`: -n if signal n killed the process, 128+n if it ended itself on signal n.
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
