"""One worker of a search, from the URL and the name to the last trial."""

from __future__ import annotations

import contextlib
from pathlib import Path

import optuna

import mendstore
from mendsearch.fleet.bundle import download
from mendsearch.fleet.ladder import Climber
from mendsearch.fleet.tuner import tuner_here
from mendsearch.progress import Reporter
from mendsearch.stopping import GRACE_S, Listener, Stopping
from mendsearch.study.worker import open_database, work


def run_worker(
    url: str,
    name: str,
    allow: list[str],
    data: Path | None,
    outage_s: float | None,
    trial_limit_s: float | None,
    reporter: Reporter,
) -> int:
    """Run trials of a search until they are done, then fine-tune its finalists if this machine has the data.

    Args:
        url: URL of the study database.
        name: name of the search.
        allow: packages that may be imported for the network, the metric, the data and the fine-tuning.
        data: folder of the training data, for sources that read one.
        outage_s: seconds to wait for a database that cannot be reached; None for the value of the spec.
        trial_limit_s: seconds that one candidate may take; None for the value of the spec.
        reporter: where progress goes.

    Returns:
        The exit code of the process: 0, or 128 + n after signal n.

    Raises:
        UsageError: this worker is not compatible with the search.
        mendstore.StorageError: the database cannot be reached at the start, or for longer than `outage_s` later.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    stopping, joined = Stopping(), list[mendstore.Queue]()

    def give_back(number: int) -> None:
        for queue in joined:
            queue.leave(f"signal {number}")

    Listener(stopping, lambda: reporter.say("asked to stop: the current work was given back")).start()
    first = mendstore.Database(url)  # a wrong URL is reported at once, without waiting
    try:
        mendstore.check_version(first)
        registered = mendstore.find(first, name)
        spec, search = download(first, registered, allow, reporter)
    finally:
        first.close()
    given = {"outage_s": outage_s, "trial_limit_s": trial_limit_s}
    fleet = spec.fleet.model_copy(update={key: value for key, value in given.items() if value is not None})
    spec = spec.model_copy(update={"fleet": fleet})
    database = open_database(url, fleet, reporter, stopping.event)
    climber = Climber(
        database,
        registered,
        spec,
        search,
        lambda: tuner_here(spec, search, data, allow, reporter),
        stopping.event,
        reporter,
    )
    try:
        with stopping.finishing(GRACE_S, give_back):
            work(
                database,
                registered,
                search,
                spec.mend,
                fleet,
                spec.seed,
                reporter,
                stopping.event,
                joined.append,
                climber.climb,
            )
    except mendstore.StorageError:
        if stopping.number is None:
            raise
    finally:
        with contextlib.suppress(Exception):  # the process ends anyway
            database.close()
    if stopping.number is not None:
        reporter.say(f"signal {stopping.number}: the current work was finished or given back")
        return 128 + stopping.number
    return 0
