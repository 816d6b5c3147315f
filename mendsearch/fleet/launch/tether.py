"""Become a command that is sent SIGTERM when the process that started it ends, however that ends.

Run as a file, `python tether.py PID COMMAND …`, where PID is the starter's. A `preexec_fn` would do the same, but is
not safe in a process that has threads. The request (prctl(2), PR_SET_PDEATHSIG) stays over `execve` and counts for the
*thread* that started the process. Linux alone knows it: elsewhere the command runs without.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to its parent, and become the command."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
        if os.getppid() != parent:  # it ended before the request was made
            sys.exit(128 + signal.SIGTERM)
    # a shell starts jobs in the background with SIGINT ignored; a starter may have signals blocked for its own use
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
