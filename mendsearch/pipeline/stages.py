"""The four stages of a run, each done once: train, pre-prune, mend, fine-tune; then the export.

The first two keep what they make in the run's folder. A stage is done when `stages.json` lists it, which is written
after the stage's own files. Mending and fine-tuning keep it in the study database, where this process is a worker like
any other. So a run that is killed at any moment resumes where it was.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

import mendstore
from mendsearch.config import Spec
from mendsearch.coupling.layout import Ints
from mendsearch.errors import BudgetError, MendsearchError, SpecError, UsageError
from mendsearch.files import read_json
from mendsearch.fleet.bundle import portable_spec, upload
from mendsearch.fleet.compatibility import own_versions
from mendsearch.fleet.ladder import Climber
from mendsearch.fleet.local_workers import run_local_workers
from mendsearch.fleet.tuner import Tuner, imported_by_workers, recipe_of, tuner_of
from mendsearch.mending.search import Search
from mendsearch.pipeline.devices import measurable
from mendsearch.pipeline.export import export
from mendsearch.pipeline.finetuning import finetuned, made_worse, with_leads
from mendsearch.pipeline.folder import RunFolder, check_spec, different, locked
from mendsearch.pipeline.home import check_database, home_of, settle
from mendsearch.pipeline.inputs import check_targets, read_inputs
from mendsearch.pipeline.preparation import rank, train_dense
from mendsearch.pipeline.reuse import trials_reused
from mendsearch.pipeline.run import Run
from mendsearch.pipeline.timing import settled, timed
from mendsearch.progress import Reporter
from mendsearch.stopping import Stopping
from mendsearch.study.finalists import finished_trials
from mendsearch.study.registration import Registration, register
from mendsearch.study.running import run_registered, say_if_more
from mendsearch.study.warm_start import warm_starts
from mendsearch.study.worker import open_database
from mendstore.queries.registered import registered


@dataclass(frozen=True)
class Outcome:
    """What a run ends with.

    Attributes:
        result: the result, as `result.json` holds it.
        dense_score: score of the dense network, for the table.
    """

    result: dict[str, Any]
    dense_score: float


def finished(spec: Spec, out: Path, storage: str) -> Outcome | None:
    """The outcome of a run of this spec that is already done, or None; also None where a device can measure it now.

    Raises:
        SpecError: the folder holds a run of another spec.
        UsageError: the folder's search is in another database.
    """
    check_spec(spec, out)
    check_database(out, storage)
    result, stages = read_json(out / "result.json"), read_json(out / "stages.json")
    if result is None or stages is None:
        return None
    ended = result["trials"]["complete"] + result["trials"]["stopped_early"]
    asked = {"trials": spec.mend.trials, "seconds": spec.mend.seconds}
    # with a time limit, a result may be of fewer trials than asked for, if the same was asked for
    over = spec.mend.seconds is not None and stages.get("export", {}).get("asked") == asked
    if measurable(result, spec.name, storage):
        return None
    return Outcome(result, stages["score"]["dense"]) if over or ended >= spec.mend.trials else None


def run_spec(
    spec: Spec, out: Path, storage: str, reporter: Reporter, workers: int = 0, stopping: Stopping | None = None
) -> Outcome:
    """Run the stages that are not done yet.

    Args:
        spec: what to do.
        out: the run's folder; made when it is missing.
        storage: URL of a Postgres database.
        reporter: where progress goes.
        workers: number of processes that run trials and fine-tunings; 0 for this process alone.
        stopping: whether the run is asked to stop; None if nothing asks it.

    Raises:
        UsageError: spec, data or budget cannot be used (raised before any work is done), or another process is at work
            in `out`.
        MendsearchError: training diverged.
        mendstore.StorageError: the database cannot be reached.
    """
    with locked(out):
        return finished(spec, out, storage) or _run(spec, out, storage, reporter, workers, stopping or Stopping())


def check(spec: Spec) -> None:
    """Check that a spec can be run, before any work is done.

    Raises:
        UsageError: spec, data or budget cannot be used.
    """
    check_targets(spec, read_inputs(spec))


def unmeetable(spec: Spec) -> str | None:
    """Why no network can meet the budget of a spec, in words; None if one can, or if that cannot be seen here."""
    try:
        read_inputs(spec)
    except BudgetError as error:
        return str(error)
    except UsageError:  # such as data that is gone meanwhile: a run of the spec says so
        pass
    return None


def create_search(spec: Spec, out: Path, storage: str, store: str | None, reporter: Reporter) -> mendstore.Registered:
    """Run stages one and two, then register the search with everything that workers on other machines need.

    Args:
        spec: what to do.
        out: the run's folder; `run_spec` continues there when the trials are done.
        storage: URL of a Postgres database.
        store: URL of a folder for content that is too large for the database.
        reporter: where progress goes.

    Raises:
        As `run_spec`.
    """
    with locked(out):
        check_spec(spec, out)
        check_database(out, storage)
        run, search = _prepared(spec, out, storage, reporter, Stopping())
        return _shared(run, open_database(storage, spec.fleet, reporter), search, store)


def _prepared(spec: Spec, out: Path, storage: str, reporter: Reporter, stopping: Stopping) -> tuple[Run, Search]:
    """Stages one and two."""
    folder = RunFolder(out)
    run = Run(spec, read_inputs(spec), folder, storage, reporter, stopping)
    check_targets(spec, run.inputs)
    mendstore.upgrade(storage)  # a database that cannot be reached is better found before training
    check_name(run)
    _warm_starts(run)  # it is better found before training that there are none
    folder.start(spec)
    try:
        train_dense(run)
    except MendsearchError:
        folder.abandon()
        raise
    return run, rank(run)


def check_name(run: Run) -> None:
    """Check, before any work is done, that the name is free in the database, or that of a search of the same spec.

    Raises:
        UsageError: another search has it.
    """
    spec, reader = run.spec, mendstore.Reader(run.storage)
    try:
        found = reader.read(lambda snapshot: registered(snapshot, spec.name) if snapshot.fleet else None)
    finally:
        reader.close()
    if found is None or home_of(run.folder.path) is not None:
        return
    mine = portable_spec(spec, run.inputs.kwargs, run.inputs.problem.outputs)
    changed = different(found.spec, mine)
    what = ", ".join(f"{key} is {old!r} there, {new!r} here" for key, (old, new) in changed.items())
    if not found.spec or changed:
        shown = mendstore.without_password(run.storage)
        raise UsageError(
            f"name = {spec.name!r}: {shown} has another search of this name ({what or 'made in Python'}); give another "
            f"name, such as --set name={spec.name}-2"
        )


def _registration(run: Run) -> Registration:
    spec = run.spec
    portable = portable_spec(spec, run.inputs.kwargs, run.inputs.problem.outputs)
    return Registration(run.storage, spec.name, spec.fleet, portable, own_versions(spec.model.name, spec.mend.score))


def _registered(run: Run, database: mendstore.Database, search: Search) -> mendstore.Registered:
    """Register the search, and write down where it is."""
    registration = _registration(run)
    earlier = trials_reused(run, database, search, registration.spec)
    found = register(database, registration, search, run.spec.mend.trials, _warm_starts(run), earlier)
    settle(run.folder.path, found, run.storage)
    say_if_more(found, run.spec.mend.trials, run.reporter)
    return found


def _warm_starts(run: Run) -> list[Ints]:
    """What the search of `mend.warm_start` found."""
    name = run.spec.mend.warm_start
    if name is None:
        return []
    with closing(mendstore.Database(run.storage)) as database:
        try:
            mendstore.find(database, name)
            study = optuna.load_study(study_name=name, storage=mendstore.MendStorage(database))
            return warm_starts(study, run.inputs.problem.coupling)
        except (UsageError, mendstore.SearchNameError) as error:
            raise SpecError(f"mend.warm_start = {name!r}: {error}") from error


def _shared(run: Run, database: mendstore.Database, search: Search, store: str | None) -> mendstore.Registered:
    """Register the search, and upload its bundle for other workers."""
    found = _registered(run, database, search)
    if store is not None:
        mendstore.name_store(database, found, store)
    upload(database, found, search, store, run.reporter)
    return mendstore.find(database, found.name)


def _run(spec: Spec, out: Path, storage: str, reporter: Reporter, workers: int, stopping: Stopping) -> Outcome:
    run, search = _prepared(spec, out, storage, reporter, stopping)
    run.folder["score"] = {"dense": search.scorer.dense_score()}
    with closing(open_database(storage, spec.fleet, reporter)) as database:
        tuner = tuner_of(spec, search, run.inputs.splits)
        study, ladder = _climbed(run, database, search, tuner, workers)
        seconds = sum(trial.duration.total_seconds() for trial in finished_trials(study) if trial.duration is not None)
        run.folder["mend"] = {"seconds": seconds}
        run.folder["finetune"] = {"seconds": sum(step.seconds or 0.0 for step in ladder.steps)}
        tuned, best = finetuned(run, tuner, database, ladder)
        if line := made_worse(tuned, best):
            reporter.say(line)
        timings = timed(run, search, tuned)
        chosen = settled(run, timings, tuned, best)
        tuned = with_leads(tuner, database, ladder, tuned, chosen)
    result = export(run, search, study, tuned, chosen, best, tuner.measure.metric, timings)
    return Outcome(result, run.folder["score"]["dense"])


def _climbed(
    run: Run, database: mendstore.Database, search: Search, tuner: Tuner, workers: int
) -> tuple[optuna.Study, mendstore.Ladder]:
    """Stages three and four: all trials and fine-tunings, by this process, local workers, and those elsewhere."""
    spec, reporter, stopping = run.spec, run.reporter, run.stopping
    found = _registered(run, database, search)
    mendstore.try_again(database, found)
    if not found.blobs:  # no worker elsewhere can have joined
        mendstore.name_store(database, found, str((run.folder.path / "blobs").absolute()))
    if workers:
        upload(database, found, search, mendstore.store_of(database, found), reporter)
        imported, log_dir = imported_by_workers(spec), run.folder.path / "workers"
        run_local_workers(database, found, workers, imported, spec.data.path, log_dir, reporter, stopping)
    climber = Climber(database, found, spec, search, lambda: tuner, stopping.event, reporter)
    study = run_registered(
        database, found, search, spec.mend, spec.fleet, spec.seed, reporter, stopping, climb=climber.climb
    )
    ladder = mendstore.ladder(database, found, recipe_of(spec))
    if ladder is None or not ladder.over:
        log = "" if ladder is None or ladder.log is None else f": {ladder.log.splitlines()[-1]}"
        raise MendsearchError(
            f"search `{spec.name}` ended before its finalists were fine-tuned{log}; run the same command again to "
            f"resume"
        )
    return study, ladder
