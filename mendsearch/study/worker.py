"""This process as a worker of a registered search."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import optuna
import torch

import mendstore
from mendsearch.config import FleetSpec, MendSpec
from mendsearch.errors import MendsearchError
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendsearch.study.fleet import FleetSource
from mendsearch.study.limit import TimeLimit
from mendsearch.study.loop import run_trials
from mendstore.blobs import default_folder

Climb = Callable[[optuna.Study, mendstore.Queue, mendstore.Heartbeat], bool]
"""What a worker does when there are no more trials; it says whether there are some again."""


def no_rungs(study: optuna.Study, queue: mendstore.Queue, heartbeat: mendstore.Heartbeat) -> bool:
    """A search in which nothing comes after the trials."""
    return False


def open_database(
    url: str, fleet: FleetSpec, reporter: Reporter, stop_event: threading.Event | None = None
) -> mendstore.Database:
    """The study database. Outages are waited out, for `fleet.outage_s` at most, and reported."""
    limit_s = fleet.outage_s
    return mendstore.Database(
        url,
        limit_s,
        stop_event,
        lambda reason: reporter.say(f"the study database cannot be reached: {reason}; waiting up to {limit_s:.0f} s"),
    )


def work(
    database: mendstore.Database,
    registered: mendstore.Registered,
    search: Search,
    mend: MendSpec,
    fleet: FleetSpec,
    seed: int,
    reporter: Reporter,
    stop_event: threading.Event,
    on_joined: Callable[[mendstore.Queue], None] = lambda queue: None,
    climb: Climb = no_rungs,
) -> optuna.Study:
    """Run trials of a registered search until they are done, its workers are asked to stop, or `stop_event` is set.

    Then climb the last rungs, and come back if the search is given more trials meanwhile.

    Args:
        database: the study database.
        registered: the search as the database holds it.
        search: the same search, built here.
        mend: sampler, early stopping, time limit.
        fleet: time limit of a trial.
        seed: seed of the search; each worker samples with a seed of its own, derived from it.
        reporter: where progress goes.
        stop_event: set to stop after the current work; also set when the search asks its workers to stop.
        on_joined: called with the queue once this process is registered as a worker.
        climb: called when there are no more trials; returns whether there are some again.

    Raises:
        mendstore.StorageError: the database could not be reached for longer than `outage_s`.
    """
    study = optuna.load_study(study_name=registered.name, storage=mendstore.MendStorage(database))
    device, spool, limit_s = device_name(search), spool_folder(), fleet.trial_limit_s
    joined = mendstore.working(database, registered, device, spool, limit_s, stop_event, reporter.say)
    with joined as (queue, heartbeat):
        on_joined(queue)
        sampler = make_sampler(mend.sampler, search.space, search.curves, search.starts, seed + queue.ordinal)
        limit = TimeLimit(
            mend.seconds,
            lambda: mendstore.under_way_s(database, registered),
            lambda: _end_trials(database, registered, reporter),
        )
        source = FleetSource(queue, study, search.space, sampler, heartbeat, stop_event, limit)
        stopping = mend.early_stopping
        while True:
            run_trials(source, search.space, search.scorer, registered.trials, reporter, early_stopping=stopping)
            if stop_event.is_set() or not climb(study, queue, heartbeat):
                return study


def _end_trials(database: mendstore.Database, registered: mendstore.Registered, reporter: Reporter) -> None:
    mendstore.end_trials(database, registered)
    wanted = mendstore.find(database, registered.name).trials
    if wanted < registered.trials:
        reporter.say(f"the time for trials is over: {wanted} of {registered.trials} count")


def check_done(database: mendstore.Database, registered: mendstore.Registered, reason: str) -> None:
    """Check that all trials have ended, before a winner is chosen.

    Raises:
        MendsearchError: some have not, for the reason given.
    """
    done, _ = mendstore.progress(database, registered.study_id)
    wanted = mendstore.find(database, registered.name).trials  # fewer than before where its time was over
    if done < wanted:
        raise MendsearchError(
            f"search `{registered.name}` ended at {done} of {wanted} trials: {reason}; run the same command again to "
            f"resume"
        )


def spool_folder() -> Path:
    """Folder of this node for results that the database does not have yet."""
    return default_folder() / "spool"


def device_name(search: Search) -> str:
    """What a worker computes on, in words."""
    device = search.scorer.weights.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
