"""A search as an Optuna study, in memory or in a database: taken up, run to its end, its winner chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch

import mendstore
from mendsearch.config import FleetSpec, MendSpec
from mendsearch.errors import MendsearchError
from mendsearch.mending.description import description
from mendsearch.mending.fleet import FleetSource, register
from mendsearch.mending.loop import Winner, choose, run_trials
from mendsearch.mending.memory import StudySource
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendstore.blobs import default_folder
from mendstore.records import STRUCTURE


@dataclass(frozen=True)
class Place:
    """Where a study is kept.

    Attributes:
        url: of a Postgres database.
        name: of the study.
        fleet: leases and outages.
        spec: from which workers elsewhere can make the search; empty where they cannot.
        versions: of packages and code that they must have.
    """

    url: str
    name: str
    fleet: FleetSpec = field(default_factory=FleetSpec)
    spec: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def run_study(
    search: Search, mend: MendSpec, *, place: Place | None, name: str, seed: int, reporter: Reporter
) -> tuple[optuna.Study, Winner]:
    """Run the study until `trials` have ended with a score; those that it holds already are not run again.

    Args:
        search: its parts.
        mend: how many trials, what proposes, whether candidates are stopped early.
        place: a database, where other workers may be at the same search; in memory without it.
        name: of a study in memory.
        seed: of the sampler.
        reporter: where progress goes.

    Raises:
        MendsearchError: the search was stopped before all its trials were done.
        mendstore.StorageError: the database stayed away, or its study of that name is of another search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if place is None:
        study = optuna.create_study(study_name=name, direction="maximize")
        study.sampler = make_sampler(mend.sampler, search.space, search.curves, search.starts, seed)
        source = StudySource(study, search.space, mend.trials, search.starts)
        run_trials(source, search.space, search.scorer, mend.trials, reporter, early_stopping=mend.early_stopping)
    else:
        study = _run_in_database(search, mend, place, seed, reporter)
    return study, winner_of(study, search, reporter)


def winner_of(study: optuna.Study, search: Search, reporter: Reporter) -> Winner:
    """The best candidate of a study, the controls among those that it is chosen from."""
    return choose(study, search.space, search.scorer, (search.pre_pruned, search.uniform), reporter)


def _run_in_database(search: Search, mend: MendSpec, place: Place, seed: int, reporter: Reporter) -> optuna.Study:
    database = open_database(place.url, place.fleet, reporter)
    registered = enrol(database, place, search, mend.trials)
    study = work(database, registered, search, mend, place.fleet, seed, reporter, threading.Event())
    check_done(database, registered, "its workers were asked to stop")
    return study


def check_done(database: mendstore.Database, registered: mendstore.Registered, reason: str) -> None:
    """See that all trials have ended, before a winner is chosen.

    Raises:
        MendsearchError: some have not, for the reason given.
    """
    done, _ = mendstore.progress(database, registered.study_id)
    if done < registered.trials:
        raise MendsearchError(
            f"search `{registered.name}` ended at {done} of {registered.trials} trials: {reason}; run the same command "
            f"again to go on"
        )


def open_database(
    url: str, fleet: FleetSpec, reporter: Reporter, ended: threading.Event | None = None
) -> mendstore.Database:
    """The study database, with outages waited out and said."""
    limit_s = fleet.outage_s
    return mendstore.Database(
        url,
        limit_s,
        ended,
        lambda reason: reporter.say(f"the study database is away: {reason}; waiting up to {limit_s:.0f} s"),
    )


def enrol(database: mendstore.Database, place: Place, search: Search, trials: int) -> mendstore.Registered:
    """Bring the schema up to date, register the search, and, the first time, describe it for dashboards."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mendstore.upgrade(place.url)
    registered = register(database, place.name, search, trials, place.fleet, place.spec, place.versions)
    if not mendstore.described(database, registered, STRUCTURE):
        mendstore.describe(database, registered, description(search))
    return registered


def work(
    database: mendstore.Database,
    registered: mendstore.Registered,
    search: Search,
    mend: MendSpec,
    fleet: FleetSpec,
    seed: int,
    reporter: Reporter,
    ended: threading.Event,
    joined: Callable[[mendstore.Queue], None] = lambda queue: None,
) -> optuna.Study:
    """Be one worker of a registered search until it is done, asked to stop, or `ended` is set.

    `joined` is called once the process is a worker.
    """
    study = optuna.load_study(study_name=registered.name, storage=mendstore.MendStorage(database))
    device, spool, limit_s = device_name(search), spool_folder(), fleet.trial_limit_s
    with mendstore.working(database, registered, device, spool, limit_s, ended, reporter.say) as (queue, keeper):
        joined(queue)
        sampler = make_sampler(mend.sampler, search.space, search.curves, search.starts, seed + queue.ordinal)
        source = FleetSource(queue, study, search.space, sampler, keeper, ended)
        run_trials(source, search.space, search.scorer, registered.trials, reporter, early_stopping=mend.early_stopping)
    return study


def spool_folder() -> Path:
    """Where results of this node wait for a database that is away."""
    return default_folder() / "spool"


def device_name(search: Search) -> str:
    """What a worker computes on, for people to read."""
    device = search.scorer.weights.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
