"""What a supervisor tells the database when a worker's process has ended."""

from __future__ import annotations

import mendstore
from mendsearch.fleet.launch.restarts import final, meaning
from mendsearch.fleet.launch.supervisor import OnExit

PATIENCE_S = 2.0
"""Enough for a server that has just been started anew; nothing is supervised meanwhile."""


def report_ends(url: str, name: str) -> OnExit:
    """A callback of `Supervisor`: what a worker that died held waits again at once, with its last lines as the log.

    Without it the lease would run out first. A worker that ended by itself has given back what it held.

    Args:
        url: of the study database; where that is away, leases do it.
        name: of the search.
    """

    database = mendstore.Database(url, PATIENCE_S)

    def report(pid: int, code: int, tail: str) -> None:
        if final(code):
            return
        search = mendstore.find(database, name)
        for worker_id, process in mendstore.open_workers(database, search.study_id).items():
            if process.pid == pid and mendstore.surely_dead(process):
                database.call("mend_leave", worker_id, f"lost: {meaning(code)}", tail, True)

    return report
