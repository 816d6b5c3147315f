"""Become a command that receives SIGTERM when its parent process ends, however that ends.

Run as a file, `python tether.py PID COMMAND …`, where PID is the parent's. A `preexec_fn` would do the same, but is not
safe in a process with threads. The request (prctl(2), PR_SET_PDEATHSIG) survives `execve` and refers to the *thread*
that started the process. It exists on Linux only; on other systems the command runs without it.
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
        if os.getppid() != parent:  # the parent ended before the request
            sys.exit(128 + signal.SIGTERM)
    # a shell starts background jobs with SIGINT ignored; the parent may have blocked signals for its own use
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
