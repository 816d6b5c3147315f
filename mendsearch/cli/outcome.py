"""A run from a command to its last line: what it came to, and the commands that go on from there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mendstore
from mendsearch.cli.common import look_up, show, stoppable, storage_of_folder
from mendsearch.config import Spec
from mendsearch.importing import is_import_path
from mendsearch.pipeline.budgets import corrected, corrections, setting_of, with_correction
from mendsearch.progress import Reporter
from mendsearch.stopping import Stopping
from mendstore import Reader
from mendstore.records import RunResult, replaces, title
from mendview import words
from mendview.tables import budgets_table, result_table
from mendview.verdict import chosen

if TYPE_CHECKING:
    from mendsearch.pipeline.stages import Outcome


def run_all(runs: Sequence[tuple[Spec, Path]], storage: str | None, as_json: bool, workers: int) -> None:
    """Run one spec, or one after the other; nothing that is finished is done again.

    Args:
        runs: specs and their folders.
        storage: URL that the user gave, or None.
        as_json: whether to print the result, or the results, as one JSON document instead of tables.
        workers: number of processes that run trials and fine-tunings; 0 for this one.
    """
    reporter = Reporter()
    found: list[dict[str, Any]] = []
    with stoppable(reporter) as stopping:
        if len(runs) > 1:
            _check(runs)
        for number, (spec, out) in enumerate(runs, 1):
            if len(runs) > 1:
                reporter.say(f"budget {number} of {len(runs)}: `{spec.name}`, in {out}")
            name, url, result = _settled(spec, out, storage, as_json, workers, reporter, stopping)
            found.append(result)
        if len(runs) > 1:
            show({"budgets": found}, budgets_table([RunResult.read(one) for one in found]), as_json)
        elif as_json:
            show(found[0], None, as_json)
        _say_where(name, url, reporter)


def _check(runs: Sequence[tuple[Spec, Path]]) -> None:
    """Find a budget that cannot be met before the first search, and not after it."""
    from mendsearch.pipeline import stages

    for spec, out in runs:
        if not (out / "result.json").is_file():
            stages.check(spec)


def _settled(
    spec: Spec,
    out: Path,
    storage: str | None,
    as_json: bool,
    workers: int,
    reporter: Reporter,
    stopping: Stopping,
) -> tuple[str, str, dict[str, Any]]:
    """Run a spec, and go on with the latency model corrected as long as the best network is too slow, and another may
    be as good and fast enough.

    Returns:
        the name of the search whose network is the best that is fast enough, the URL of its database, and its result.
    """
    kept: tuple[str, str, dict[str, Any]] | None = None
    while True:
        url = storage_of_folder(out, storage)
        outcome = _outcome(spec, out, url, workers, reporter, stopping)
        result = RunResult.read(outcome.result)
        if not as_json:
            show(outcome.result, result_table(result, outcome.dense_score))
        further = corrected(spec, out, result.mistimed)
        begun = further is not None and (further[1] / "result.json").is_file()
        lacking = None if begun else _lacking(spec, out, result.mistimed)
        _say(spec, out, url, result, further, lacking, reporter)
        if kept is None or _replaces(result, RunResult.read(kept[2])):
            kept = spec.name, url, outcome.result
        if further is None or lacking is not None:
            if kept[0] != spec.name:
                reporter.say(f"the network of `{kept[0]}` is as good or better, and fast enough: it stays the result")
            return kept
        spec, out = further


def _replaces(result: RunResult, kept: RunResult) -> bool:
    return replaces(result.met, result.on_validation, kept.met, kept.on_validation)


def _lacking(spec: Spec, out: Path, mistimed: bool) -> str | None:
    """Why no network can meet a latency by the model as the run has corrected it; None where that is not known."""
    from mendsearch.pipeline import stages

    again = with_correction(spec, out) if mistimed else None
    return None if again is None else stages.unmeetable(again)


def _outcome(spec: Spec, out: Path, url: str, workers: int, reporter: Reporter, stopping: Stopping) -> Outcome:
    """The outcome of a run, which is done unless it was; its figures are in the study, and its report in the folder."""
    from mendsearch.pipeline import stages

    outcome = stages.finished(spec, out, url)
    if outcome is None:
        outcome = stages.run_spec(spec, out, url, reporter, workers, stopping)
        _publish(spec.name, url)
        _report(spec.name, url, out / "report.html")
    else:
        _look_again(spec, url, out / "report.html", outcome.result, reporter)
    return outcome


def _say(
    spec: Spec,
    out: Path,
    url: str,
    result: RunResult,
    further: tuple[Spec, Path] | None,
    lacking: str | None,
    reporter: Reporter,
) -> None:
    """What a run came to, and how it goes on from there."""
    reporter.say(chosen(result)[1])
    reporter.say(f"in {out}: result.json, report.html, model/ (mendsearch.load)")
    reporter.say(f"export it: {_export_command(out, result.model.name)}")
    slow = "no network meets its latency"
    if result.gave_way:
        slow = f"{title(str(result.best))} is clearly better than {title(result.exported)}, and too slow"
    if lacking is not None:
        known = {limit: timing for limit, timing in result.timings.items() if timing.measured_ms}
        took = ", ".join(words.cost(limit, timing.measured_ms[result.exported]) for limit, timing in known.items())
        stays = f"the exported network stays, {took} measured"
        reporter.say(f"{slow}, and by the latency model corrected all are; {stays}: {lacking}")
    elif further is not None:
        reporter.say(f"{slow}: the search goes on as `{further[0].name}`, in {further[1]}")
    elif profiles := corrections(spec, out):
        values = [*setting_of(spec, profiles), f"mend.warm_start={spec.name}"]
        again = [word for value in values for word in ("--set", value)]
        command = _run_command(out, mendstore.without_password(url), *again)
        reporter.say(f"the best network was slower than predicted; to search with the model corrected: {command}")


def _say_where(name: str, url: str, reporter: Reporter) -> None:
    """The commands that show the study, unless it was deleted."""
    shown = mendstore.without_password(url)
    if _deleted(name, url):
        reporter.say(f"study `{name}` is no longer in {shown}: this result is in its run folder alone")
        return
    reporter.say(f"study `{name}`: optuna-dashboard '{shown}'")
    reporter.say(f"watch it: {mendstore.command('dashboard', url)}")
    if mendstore.EmbeddedServer(mendstore.EMBEDDED).url == shown:
        stop = mendstore.command("db stop")
        reporter.say(f"the embedded database keeps running for the dashboard; `{stop}` stops it")


def _deleted(name: str, url: str) -> bool:
    """Whether the database answers, and has no such search."""
    try:
        look_up(url, name)
    except mendstore.StorageError as error:
        return isinstance(error, mendstore.SearchNameError)
    return False


def _run_command(out: Path, shown: str, *words: str) -> str:
    """The command that runs a folder's spec again, changed, in the same database."""
    place = () if mendstore.EmbeddedServer(mendstore.EMBEDDED).url == shown else ("--storage", shown)
    return mendstore.command("run", None, str(out), *place, *words)


def _export_command(out: Path, model: str) -> str:
    """The command that exports a run: as ONNX where that is installed."""
    form = () if find_spec("onnxscript") else ("--format", "pt2")
    code = ("--model", model) if is_import_path(model) else ()
    return mendstore.command("export", None, str(out), *form, *code)


def _look_again(spec: Spec, url: str, report: Path, result: dict[str, Any], reporter: Reporter) -> None:
    """Say if the search has more trials than the finished run, or this more than asked; make the report if missing."""
    name, asked = spec.name, spec.mend.trials
    if (had := result["trials"]["complete"] + result["trials"]["stopped_early"]) > asked:
        reporter.say(f"{asked} trials were asked for, and this result is from {had}: all of them count")
    with contextlib.suppress(mendstore.StorageError):  # the result is in the folder, whatever the database says
        trials, counted = look_up(url, name)[0].trials, result["trials"]
        done = counted["complete"] + counted["stopped_early"]
        if trials > done:
            reporter.say(
                f"the search has {trials} trials now, but this result is from {done}; to choose among all: "
                f"--set mend.trials={trials}"
            )
        if not report.is_file():  # the run ended between result and report
            _report(name, url, report)


def _publish(name: str, url: str) -> None:
    """Put the figures of a search into its study, for those who open it in Optuna Dashboard."""
    import optuna

    from mendview.publish import publish

    database = mendstore.Database(url)
    publish(optuna.load_study(study_name=name, storage=mendstore.MendStorage(database)), url)
    database.close()


def _report(name: str, url: str, path: Path) -> None:
    from mendview.report import report_named, save

    reader = Reader(url)
    text = reader.read(lambda snapshot: report_named(snapshot, name))
    reader.close()
    if text is not None:
        save(path, text)
