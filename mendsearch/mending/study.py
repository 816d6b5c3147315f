"""A search as an Optuna study: opened, taken up, run to its end."""

from __future__ import annotations

import optuna

import mendstore
from mendsearch.config import MendSpec
from mendsearch.errors import UsageError
from mendsearch.mending.loop import Winner, choose, enqueue, put_back_interrupted, run_trials
from mendsearch.mending.sampler import make_sampler
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter

FINGERPRINT = "fingerprint"


def run_study(
    search: Search,
    mend: MendSpec,
    *,
    storage: str | None,
    name: str,
    seed: int,
    reporter: Reporter,
) -> tuple[optuna.Study, Winner]:
    """Run the study until `trials` are complete; those that it holds already are not run again.

    Args:
        search: its parts.
        mend: how many trials, what proposes, whether candidates are stopped early.
        storage: URL of a Postgres database; in memory without it.
        name: of the study.
        seed: of the sampler.
        reporter: where progress goes.

    Raises:
        UsageError: another process runs the search, or the study of that name is of another one.
        mendstore.StorageError: the database cannot be reached, or goes away.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage is None:
        study = optuna.create_study(study_name=name, direction="maximize")
        return study, _run(study, search, mend, seed, reporter)
    with mendstore.exclusive(storage, name) as alone, mendstore.reachable(storage):
        if not alone:
            raise UsageError(f"search `{name}` is being run by another process; wait for it, or give another name")
        study = mendstore.open_study(storage, name)
        _claim(study, search)
        put_back_interrupted(study, search.space)
        return study, _run(study, search, mend, seed, reporter)


def _run(study: optuna.Study, search: Search, mend: MendSpec, seed: int, reporter: Reporter) -> Winner:
    study.sampler = make_sampler(mend.sampler, search.space, search.curves, search.starts, seed)
    enqueue(study, search.space, search.starts)
    run_trials(study, search.space, search.scorer, mend.trials, reporter, early_stopping=mend.early_stopping)
    return choose(study, search.space, search.scorer, (search.pre_pruned, search.uniform), reporter)


def _claim(study: optuna.Study, search: Search) -> None:
    """Mark a new study as this search's; refuse one that holds trials of another."""
    theirs, ours = study.user_attrs.get(FINGERPRINT), search.fingerprint()
    if theirs != ours and study.get_trials(deepcopy=False):
        raise UsageError(
            f"study `{study.study_name}` in this database is of another network, data, budget or ranking, and its "
            f"scores would not compare; choose another name, or remove it: mendsearch delete {study.study_name}"
        )
    if theirs != ours:
        study.set_user_attr(FINGERPRINT, ours)
