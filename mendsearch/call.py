"""A call of `mend` from its ranking to its result, and on with the latency model corrected where all are too slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import optuna
import torch
from torch import Tensor, nn

from mendsearch.artifacts import Pruned
from mendsearch.artifacts.result import result_of
from mendsearch.batches import Batch
from mendsearch.budget import read_profiles
from mendsearch.config import CORRECTIONS, Budget, FinetuneSpec, MendSpec, PruneSpec
from mendsearch.coupling.layout import Ints
from mendsearch.errors import BudgetError, FinetuneError
from mendsearch.latency.finalists import corrected, drift, fastest_enough, measured_here, meets, predicted, with_times
from mendsearch.mending.finetuning import Finetune
from mendsearch.mending.judges import Metric
from mendsearch.mending.measuring import Measure
from mendsearch.mending.search import Problem, Search, limits_of
from mendsearch.outputs import comparison_of
from mendsearch.progress import Reporter
from mendsearch.ranking import FilterRanking
from mendsearch.ranking.statistics import InputStatistics
from mendsearch.study.finalists import Finalist, choose
from mendsearch.study.judging import Judged, by_finetuning, by_score
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_study
from mendsearch.study.warm_start import warm_starts
from mendstore.records import Timing, replaces, title


@dataclass(frozen=True, eq=False, kw_only=True)
class Call:
    """What a search is made of, once data, network and budget have been checked and the channels are ranked.

    Attributes:
        problem: network, coupling groups and limits.
        budget: what the limits were made from.
        ranking: filter ranking.
        statistics: input statistics of each consumer.
        calibration: calibration items.
        validation: validation items.
        labels: (N, ...), of the validation items, or None.
        groups: (N,) int64, which calibration items belong together, or None.
        prune: pre-pruning rule, floor and multiple.
        spec: of the study.
        metric: the caller's score, or None.
        finetune: the caller's fine-tuning, or None.
        storage: URL of a database, or None for a study in memory.
        name: of the study.
        seed: of sampling and fine-tuning.
        reporter: where progress goes.
    """

    problem: Problem
    budget: Budget
    ranking: FilterRanking
    statistics: Mapping[str, InputStatistics]
    calibration: Batch
    validation: Batch
    labels: Tensor | None
    groups: Tensor | None
    prune: PruneSpec
    spec: MendSpec
    metric: Metric | None
    finetune: Finetune | None
    storage: str | None
    name: str
    seed: int
    reporter: Reporter


def mended(call: Call, warm: Sequence[Ints]) -> Pruned:
    """The result of a search; it goes on with its latency models corrected as long as they were wrong where it matters.

    Args:
        call: what to search.
        warm: (G,) int64 each, structures that are scored first.
    """
    kept, kept_value = pruned, _ = _once(call, warm)
    for number in range(CORRECTIONS):
        if not pruned.mistimed:
            break
        try:
            further = _corrected(call, pruned, number)
        except BudgetError as error:
            call.reporter.say(f"with the latency model corrected, {error}")
            break
        slow = "no network meets its latency" if pruned.met is False else f"{title(pruned.best)} is too slow"
        call.reporter.say(f"{slow}: the search goes on with the latency model corrected")
        found = warm_starts(pruned.study, call.problem.coupling)
        call = further
        pruned, value = _once(call, found)
        if replaces(pruned.met, value, kept.met, kept_value):
            kept, kept_value = pruned, value
        else:
            call.reporter.say("the network found before is as good or better, and fast enough: it stays")
    return kept


def _corrected(call: Call, pruned: Pruned, number: int) -> Call:
    """The same with latency models that are corrected by what was measured.

    Raises:
        BudgetError: the budget cannot be met by these models.
    """
    profiles = read_profiles(call.budget)
    better = {
        limit: corrected(profiles[limit], timing).model_dump(mode="json")
        for limit, timing in pruned.timings.items()
        if meets(timing, pruned.best) is False
    }
    budget, given = call.budget.with_profiles(better), call.problem
    problem = replace(given, limits=limits_of(given.model, given.coupling, budget, call.prune))
    base = call.name if number == 0 else call.name.rpartition("-corrected")[0]
    return replace(call, budget=budget, problem=problem, name=f"{base}-corrected{f'-{number + 1}' if number else ''}")


def _once(call: Call, warm: Sequence[Ints]) -> tuple[Pruned, float]:
    """One search: the best of its finalists that is fast enough, and its figure on the validation items."""
    search = Search(
        call.problem,
        call.ranking,
        call.statistics,
        calibration=call.calibration,
        validation=call.validation,
        labels=call.labels,
        prune=call.prune,
        mend=call.spec,
        metric=call.metric,
        groups=call.groups,
    )
    registration = None if call.storage is None else Registration(call.storage, call.name)
    study = run_study(
        search, call.spec, registration=registration, name=call.name, seed=call.seed,
        reporter=call.reporter, warm=list(warm),
    )  # fmt: skip
    few = 1 if call.finetune is None else FinetuneSpec().finalists
    finalists = choose(study, search, few, call.seed, call.reporter)
    if call.finetune is None:
        return _result(call, search, study, finalists, by_score(finalists))
    try:
        judged = by_finetuning(search, finalists, call.finetune, _measure(call), call.seed, call.reporter)
    except FinetuneError as error:
        error.pruned, _ = _result(call, search, study, finalists, by_score(finalists))
        raise
    if not judged.rungs[judged.best]:
        first, last = (float(judged.items[judged.best][at].mean()) for at in (0, -1))
        call.reporter.say(
            f"fine-tuning made even the best finalist worse on validation, from {first:.4g} to {last:.4g}, so it "
            f"is kept as it was before: try a lower learning rate, or more of it"
        )
    return _result(call, search, study, finalists, judged)


def _result(
    call: Call, search: Search, study: optuna.Study, finalists: Mapping[str, Finalist], judged: Judged
) -> tuple[Pruned, float]:
    """The best finalist that is fast enough, and its figure on the validation items."""
    models = judged.models
    timings = _timed(call, search, {name: finalists[name] for name in judged.order}, models)
    chosen, lines = fastest_enough(timings, judged.order)
    for line in lines:
        call.reporter.say(line)
    timings = {limit: timing.model_copy(update={"met": meets(timing, chosen)}) for limit, timing in timings.items()}
    model = models.get(chosen) or search.scorer.build(finalists[chosen].counts)
    return result_of(search, study, finalists, chosen, judged, model, timings), judged.value(chosen)


def _measure(call: Call) -> Measure:
    """What judges fine-tuned networks."""
    problem, metric = call.problem, call.metric
    comparison = None if metric else comparison_of(problem.model, call.calibration, problem.outputs)
    return Measure(problem.model, comparison, metric, call.spec.score, (call.validation, call.labels))


def _timed(
    call: Call, search: Search, finalists: Mapping[str, Finalist], models: Mapping[str, nn.Module]
) -> dict[str, Timing]:
    """Times of the finalists by the limits in time, measured where this machine is that of the profile.

    Args:
        call: what was searched.
        search: the search.
        finalists: by name.
        models: their networks where they were fine-tuned.
    """
    found, dense = {}, search.problem.model
    counts = {"dense": search.problem.coupling.widths} | {name: one.counts for name, one in finalists.items()}
    profiles = read_profiles(call.budget)
    built = {name: models.get(name) or search.scorer.build(one.counts) for name, one in finalists.items() if profiles}
    for limit, profile in profiles.items():
        timing = predicted(search.problem.limits, limit, profile, counts)
        items = call.calibration[torch.arange(profile.setting.batch) % len(call.calibration)]
        times = measured_here(profile, {"dense": dense, **built}, items, call.seed)
        if isinstance(times, str):
            call.reporter.say(f"times are predicted, not measured: {times}")
            found[limit] = timing
        else:
            found[limit] = with_times(timing, profile, times)
            if line := drift(profile, times, limit):
                call.reporter.say(line)
    return found
