"""A study run to its end, in memory or in a database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import optuna

import mendstore
from mendsearch.config import FleetSpec, MendSpec
from mendsearch.coupling.layout import Ints
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendsearch.stopping import GRACE_S, Stopping
from mendsearch.study.loop import run_trials
from mendsearch.study.memory import StudySource
from mendsearch.study.registration import Registration, register
from mendsearch.study.worker import Climb, check_done, no_rungs, open_database, work


def run_study(
    search: Search,
    mend: MendSpec,
    *,
    registration: Registration | None,
    name: str,
    seed: int,
    reporter: Reporter,
    warm: Sequence[Ints] = (),
) -> optuna.Study:
    """Run the study until `mend.trials` trials have ended with a score; trials it already holds count.

    Args:
        search: the search.
        mend: number of trials, time limit, sampler, early stopping.
        registration: the database, where other workers may run the same search; None for a study in memory.
        name: name of a study in memory.
        seed: seed of the sampler.
        reporter: where progress goes.
        warm: further structures that are scored first, (G,) each.

    Raises:
        MendsearchError: the search was stopped before all its trials were done.
        mendstore.StorageError: the database cannot be reached, or its study of that name belongs to another search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if registration is None:
        return _run_in_memory(search, mend, name, seed, reporter, warm)
    return run_in_database(search, mend, registration, seed, reporter, warm)


def _run_in_memory(
    search: Search, mend: MendSpec, name: str, seed: int, reporter: Reporter, warm: Sequence[Ints]
) -> optuna.Study:
    study = optuna.create_study(study_name=name, direction="maximize")
    study.sampler = make_sampler(mend.sampler, search.space, search.curves, search.starts, seed)
    source = StudySource(study, search.space, mend.trials, [*search.starts, *warm], mend.seconds)
    try:
        run_trials(source, search.space, search.scorer, mend.trials, reporter, early_stopping=mend.early_stopping)
    except KeyboardInterrupt:
        if source.best() is None:
            raise
        source.give_up()
        reporter.say(f"stopped after {source.done()} of {mend.trials} trials: the best of them is taken")
    return study


def run_in_database(
    search: Search,
    mend: MendSpec,
    registration: Registration,
    seed: int,
    reporter: Reporter,
    warm: Sequence[Ints] = (),
) -> optuna.Study:
    """Run the trials of `run_study` in a database."""
    with closing(open_database(registration.url, registration.fleet, reporter)) as database:  # the study opens it again
        registered = register(database, registration, search, mend.trials, warm)
        say_if_more(registered, mend.trials, reporter)
        return run_registered(database, registered, search, mend, registration.fleet, seed, reporter)


def say_if_more(registered: mendstore.Registered, asked: int, reporter: Reporter) -> None:
    """Say that a search has more trials than were asked for now; it is never made smaller."""
    if registered.trials > asked:
        reporter.say(f"{asked} trials were asked for, and the search has {registered.trials}: all of them count")


def run_registered(
    database: mendstore.Database,
    registered: mendstore.Registered,
    search: Search,
    mend: MendSpec,
    fleet: FleetSpec,
    seed: int,
    reporter: Reporter,
    stopping: Stopping | None = None,
    climb: Climb = no_rungs,
) -> optuna.Study:
    """Run the trials of a search that is registered, in this process, and what comes after them.

    Args:
        database: the study database.
        registered: the search as the database holds it.
        search: the same search.
        mend: sampler, early stopping.
        fleet: time limit of a trial.
        seed: seed of the sampler.
        reporter: where progress goes.
        stopping: whether the process is asked to stop; None if nothing asks it.
        climb: called when there are no more trials; see `work`.

    Raises:
        As `run_study`.
    """
    stopping, joined = stopping or Stopping(), list[mendstore.Queue]()

    def give_back(number: int) -> None:
        for queue in joined:
            queue.leave(f"signal {number}")

    with stopping.finishing(GRACE_S, give_back):
        study = work(database, registered, search, mend, fleet, seed, reporter, stopping.event, joined.append, climb)
    check_done(database, registered, "its workers were asked to stop")
    return study
