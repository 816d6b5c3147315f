"""A search as a study in a real Postgres."""

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.trial import TrialState

import mendstore
from mendsearch.config import MendSpec
from mendsearch.errors import MendsearchError
from mendsearch.progress import Reporter
from mendsearch.study.finalists import POOL, choose
from mendsearch.study.registration import Registration
from mendsearch.study.running import run_study
from tests.unit.mending.test_scoring import LABELS, digits_search, search_of
from tests.zoo import IMAGES

QUIET = Reporter(quiet=True)


def run(search, trials, storage, name, **options):
    mend = MendSpec(trials=trials, **{"early_stopping": False} | options)
    return run_study(search, mend, registration=Registration(storage, name), name=name, seed=0, reporter=QUIET)


def best_of(study, search):
    return choose(study, search, 1, 0, QUIET)["mended"]


def test_stock_optuna_reads_the_study(storage, name):
    search = search_of("residual", macs=0.4)
    winner = best_of(run(search, 12, storage, name), search)
    study = optuna.load_study(study_name=name, storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 12
    few = sorted(study.trials, key=lambda trial: -trial.value)[:POOL]
    assert winner.score == max(search.scorer.refined_score(search.space.counts(trial.params)) for trial in few)
    for trial in study.trials:
        counts = search.space.counts(trial.params)
        assert sorted(trial.params) == sorted(f"restore/{group}" for group in search.problem.coupling.names)
        assert trial.user_attrs["keep_counts"] == search.problem.coupling.keep_counts(counts)
        assert {key: trial.user_attrs[key] for key in ("macs", "params")} == search.problem.limits.costs.cost(counts)
        scored = search.scorer.score(counts)
        assert trial.value == pytest.approx(scored.value, abs=1e-6)
        assert trial.user_attrs["top1_agreement"] == scored.top1_agreement


def test_the_first_trials_are_the_structures_that_need_no_search(storage, name):
    search = search_of("residual", macs=0.4)
    study = run(search, 4, storage, name)
    winner = best_of(study, search)
    starts = list(dict.fromkeys(tuple(counts) for counts in search.starts))
    first = [tuple(search.space.counts(trial.params)) for trial in study.trials]
    assert first[: len(starts)] == starts[: len(first)]
    assert winner.score >= max(search.scorer.refined_score(counts) for counts in (search.uniform, search.pre_pruned))


def test_a_finished_study_runs_nothing_and_more_trials_go_on(storage, name):
    search = search_of("residual", macs=0.4)
    run(search, 6, storage, name)
    run(search, 6, storage, name)
    study = run(search, 9, storage, name)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 9
    assert len({str(trial.params) for trial in study.trials}) == 9


def test_an_error_in_scoring_is_tried_again_then_set_aside_and_the_search_goes_on(storage, name):
    search = search_of("residual", macs=0.4)
    bad, score = tuple(search.starts[0]), search.scorer.score
    assert bad not in {tuple(search.pre_pruned), tuple(search.uniform)}

    def scored(counts, incumbent=None):
        if tuple(counts) == bad:
            raise RuntimeError("out of memory")
        return score(counts, incumbent)

    search.scorer.score = scored
    study = run(search, 6, storage, name)
    states = [trial.state for trial in study.trials]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.FAIL)) == (6, 3)
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert all("out of memory" in trial.user_attrs["failed"] for trial in failed)


def test_a_search_whose_every_candidate_fails_ends_with_the_reason(storage, name):
    search = search_of("residual", macs=0.4)

    def scored(counts, incumbent=None):
        raise RuntimeError("the device is broken")

    search.scorer.score = scored
    with pytest.raises(MendsearchError, match="the device is broken"):
        run(search, 6, storage, name)


def test_a_search_that_is_stopped_meanwhile_has_no_winner_yet_and_goes_on(storage, name):
    search, seen = search_of("residual", macs=0.4), []
    score = search.scorer.score

    def scored(counts, incumbent=None):
        seen.append(counts)
        if len(seen) == 5:  # two controls, for dashboards, and three trials
            database = mendstore.Database(storage)
            mendstore.stop(database, mendstore.find(database, name))
            database.close()
        return score(counts, incumbent)

    search.scorer.score = scored
    with pytest.raises(MendsearchError, match=r"ended at 3 of 6 trials.*again to resume"):
        run(search, 6, storage, name)
    study = run(search, 6, storage, name)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6


def test_what_a_person_asks_for_in_the_dashboard_is_made_to_fit_and_tried(storage, name):
    search = search_of("residual", macs=0.4)
    run(search, 6, storage, name)
    asked = {name: search.space.distributions[name].high for name in search.space.names[:2]}
    optuna.load_study(study_name=name, storage=storage).enqueue_trial(asked)
    study = run(search, 8, storage, name)
    trial = next(trial for trial in study.trials if trial.system_attrs)
    assert trial.state == TrialState.COMPLETE
    assert search.problem.limits.fits(search.space.counts(trial.params))
    assert trial.params[search.space.names[0]] > 0


@pytest.mark.parametrize("sampler", ["mending", "tpe"])
def test_every_candidate_keeps_multiples_where_they_are_asked_for(storage, name, sampler):
    search = search_of("residual", macs=0.6, multiple=2)
    steps = search.problem.limits.steps
    assert set(steps) == {2}
    study = run(search, 10, storage, name, sampler=sampler)  # of the 12 candidates that there are
    winner = best_of(study, search)
    for counts in [search.space.counts(trial.params) for trial in study.trials] + [winner.counts, search.uniform]:
        assert (counts % steps == 0).all()
        assert search.problem.limits.fits(counts)
    assert len({tuple(search.space.counts(trial.params)) for trial in study.trials}) == 10


def test_two_workers_share_a_search(storage, name):
    """In threads of one process, each with its own connection: together they run the trials that were asked for."""
    searches = [search_of("residual", macs=0.4) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        studies = list(pool.map(lambda search: run(search, 16, storage, name), searches))
    study = optuna.load_study(study_name=name, storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 16
    assert len({trial.user_attrs["worker"] for trial in study.trials}) == 2
    first, second = (best_of(*pair).score for pair in zip(studies, searches, strict=True))
    assert first == second


def test_a_study_of_another_network_or_budget_is_refused(storage, name):
    run(search_of("residual", macs=0.4), 3, storage, name)
    with pytest.raises(mendstore.SearchNameError, match=rf"mendsearch delete .* {name}"):
        run(search_of("residual", macs=0.3), 3, storage, name)


@pytest.mark.parametrize("what", ["images", "labels"])
def test_a_study_scored_on_other_data_is_refused(storage, name, what):
    run(search_of("residual", macs=0.4, score="loss"), 3, storage, name)
    changed = {"validation": IMAGES * 2} if what == "images" else {"labels": (LABELS + 1) % 4}
    with pytest.raises(mendstore.SearchNameError, match=rf"mendsearch delete .* {name}"):
        run(search_of("residual", macs=0.4, score="loss", **changed), 3, storage, name)


def test_a_candidate_scored_already_is_not_scored_again(storage, name):
    search = search_of("residual", macs=0.4)
    study = run(search, 6, storage, name)
    study.enqueue_trial(study.trials[0].params)
    scored = []
    score = search.scorer.score
    search.scorer.score = lambda *arguments: scored.append(arguments) or score(*arguments)
    study = run(search, 7, storage, name)
    assert not scored
    assert study.trials[6].value == study.trials[0].value


def test_a_candidate_that_is_worse_beyond_doubt_is_stopped_and_counts_as_a_trial(storage, name):
    """Of a trained network: stopped trials are PRUNED with an expected score, and the best is found all the same."""
    search = digits_search(macs=0.3)
    winner = best_of(run(search, 30, storage, name), search)
    study = run(search, 30, storage, f"{name}-stopping", early_stopping=True)
    stopped_winner = best_of(study, search)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == len(states) == 30
    stopped = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert stopped
    for trial in stopped:
        full = search.scorer.score(search.space.counts(trial.params)).value
        assert full < study.best_value
        assert trial.value < study.best_value
        assert len(trial.intermediate_values) == 1
    assert stopped_winner.score == pytest.approx(winner.score, abs=0.1)


def test_a_search_with_stopped_trials_goes_on_and_ends(storage, name):
    search = digits_search(macs=0.3)
    run(search, 10, storage, name, early_stopping=True)
    study = run(search, 15, storage, name, early_stopping=True)
    assert len(study.trials) == 15
    assert all(trial.state.is_finished() for trial in study.trials)


def test_a_search_whose_time_is_over_has_the_trials_that_were_begun(storage, name):
    search = search_of("residual", macs=0.4)
    starts = {tuple(counts) for counts in search.starts}
    study = run(search, 100_000, storage, name, seconds=2.0)
    states = [trial.state for trial in study.trials]
    assert len(starts) <= len(states) < 100_000
    assert set(states) == {TrialState.COMPLETE}
    database = mendstore.Database(storage)
    registered = mendstore.find(database, name)
    assert registered.trials == len(states) == mendstore.progress(database, registered.study_id)[0]
    assert mendstore.under_way_s(database, registered) > 2.0
    assert len(run(search, 100_000, storage, name, seconds=0.5).trials) == len(states), "its time stays over"
    assert len(run(search, len(states) + 2, storage, name, seconds=3600.0).trials) == len(states) + 2
    database.close()


def test_two_workers_end_at_the_same_number_when_the_time_is_over(storage, name):
    searches = [search_of("residual", macs=0.4) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        studies = list(pool.map(lambda search: run(search, 100_000, storage, name, seconds=2.0), searches))
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    database = mendstore.Database(storage)
    assert mendstore.find(database, name).trials == len(trials) < 100_000
    database.close()
    assert studies


def test_the_starts_are_scored_whatever_time_they_take(storage, name):
    search = search_of("residual", macs=0.4)
    starts = {tuple(counts) for counts in search.starts}
    study = run(search, 1000, storage, name, seconds=1e-6)
    assert {tuple(search.space.counts(trial.params)) for trial in study.trials} == starts
    memory = run_study(
        search, MendSpec(trials=1000, seconds=1e-6), registration=None, name=name, seed=0, reporter=QUIET
    )
    assert {tuple(search.space.counts(trial.params)) for trial in memory.trials} == starts
