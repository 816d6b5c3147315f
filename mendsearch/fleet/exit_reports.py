"""Exit reports: what a supervisor tells the database when the process of a worker has ended."""

from __future__ import annotations

import mendstore
from mendsearch.fleet.launch.restarts import final, meaning
from mendsearch.fleet.launch.supervisor import OnExit

PATIENCE_S = 2.0
"""Seconds to wait for the database; enough for a restart. Nothing is supervised meanwhile."""


def report_ends(url: str, name: str) -> OnExit:
    """A callback for `Supervisor`: the candidates of a worker that died wait again at once, with its last lines as log.

    Without the report they wait until the lease expires, as they do if the database cannot be reached. A worker that
    ended by itself has given its candidates back.

    Args:
        url: URL of the study database.
        name: name of the search.
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
