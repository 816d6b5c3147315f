from dataclasses import replace
from datetime import datetime, timedelta

import optuna
import pytest

from mendstore.queries.fleet import FleetStatus
from mendstore.queries.pace import Pace
from mendstore.queries.searches import find_search
from mendstore.records import Lead, TrialCounts
from mendview import overview
from mendview.verdict import chosen, state_of, verdict_of
from tests.integration.conftest import DONE, TRIALS


def see(reader, made):
    return reader.read(lambda snapshot: overview.overview(snapshot, find_search(snapshot, study_id=made.study_id)))


def with_accuracies(result, **accuracies):
    changed = {
        name: row.model_copy(update={"accuracy": accuracies[name], "validation": [accuracies[name]] * 3, "lead": None})
        for name, row in result.finalists.items()
        if name in accuracies
    }
    return result.model_copy(update={"finalists": result.finalists | changed})


def test_a_running_search_answers_the_five_questions(reader, made):
    seen = see(reader, made)
    assert (seen.state, seen.tone) == ("running", "good")
    assert seen.best.number == made.best
    assert seen.controls == made.structure["controls"]
    assert [change.group for change in seen.changes] == made.structure["groups"]
    assert seen.fleet.alive == 5
    assert seen.left_s == pytest.approx((TRIALS - DONE) / seen.pace.rate)
    assert overview.progress(seen) == f"{DONE} of {TRIALS} trials"


def test_a_finished_search_says_what_it_gained(reader, finished):
    seen = see(reader, finished)
    assert (seen.state, seen.live) == ("finished", False)
    assert seen.verdict == ("Finished: mended, +1.40 ± 0.59 points over uniform, on 10,000 validation images.")
    assert overview.ending(seen) == "it has ended"


def test_the_network_of_a_finished_search_is_the_result_not_the_best_trial(reader, finished):
    seen = see(reader, finished)
    result = with_accuracies(seen.search.result, mended=0.9)
    search = replace(seen.search, result=result)
    assert seen.chosen.number == finished.best
    assert overview.headline(seen) == f"92.60% test accuracy (trial {finished.best})"
    assert overview.controls(seen)[:4] == ["pre-pruned 90.70%", "uniform 91.20%", "random 89.90%", "dense 93.40%"]
    assert overview.headline(replace(seen, search=search, top=[])) == "90.00% test accuracy"


def test_a_metric_is_said_by_its_name(reader, finished):
    seen = see(reader, finished)
    result = seen.search.result.model_copy(update={"metric": "shapes.scores:mean_iou"})
    metrics = {"mended": 0.8, "uniform": 0.75, "pre_pruned": 0.7, "random": 0.6}
    finalists = {
        name: row.model_copy(update={"metric": metrics[name], "validation": [metrics[name]] * 2, "lead": None})
        for name, row in result.finalists.items()
    }
    dense = result.dense.model_copy(update={"metric": 0.9})
    result = result.model_copy(update={"finalists": finalists, "dense": dense})
    search = replace(seen.search, result=result)
    seen = replace(seen, search=search)
    assert overview.headline(seen) == f"0.8000 test mean_iou (trial {finished.best})"
    assert overview.controls(seen)[:4] == ["pre-pruned 0.7000", "uniform 0.7500", "random 0.6000", "dense 0.9000"]
    tone, said = verdict_of(search, "finished", seen.pace, seen.fleet, seen.best, 0, seen.controls)
    assert (tone, said) == ("good", "Finished: mended, +0.0500 in mean_iou over uniform, on 10,000 validation images.")


def test_what_the_score_is_made_of(reader, made):
    seen = see(reader, made)
    columns = overview.made_of(seen, seen.best)
    assert [title for title, _ in columns] == [f"trial {made.best}", "pre-pruned", "uniform"]
    assert columns[0][1] == {"output": pytest.approx(-seen.best.score, abs=1e-3)}


@pytest.mark.parametrize(
    ("mended", "images", "tone", "said"),
    [
        (
            0.90,
            10_000,
            "good",
            "Finished: mended, +1.00 ± 0.85 points over uniform, on 10,000 validation images.",
        ),
        (
            0.90,
            1_000,
            "fair",
            "Finished: mended, level with uniform (+1.00 ± 2.69 points, on 1,000 validation images).",
        ),
        (0.88, 10_000, "fair", "Finished: mended, behind uniform (−1.00 ± 0.88 points, "),
        (0.89, None, "fair", "Finished: mended, level with uniform (+0.00 points)."),
        (7.0, 10, "good", "points over uniform"),
    ],
)
def test_a_difference_within_noise_is_no_gain(reader, finished, mended, images, tone, said):
    seen = see(reader, finished)
    result = with_accuracies(seen.search.result, mended=mended, uniform=0.89, pre_pruned=0.8, random=0.8)
    search = replace(seen.search, result=result.model_copy(update={"validation_images": images}))
    found = verdict_of(search, "finished", seen.pace, seen.fleet, seen.best, 0, {})
    assert found[0] == tone
    assert said in found[1]


def test_a_paired_lead_decides_where_the_result_has_one(reader, finished):
    seen = see(reader, finished)
    result = with_accuracies(seen.search.result, mended=0.9, uniform=0.89, pre_pruned=0.8, random=0.8)
    uniform = result.finalists["uniform"]
    paired = result.model_copy(update={"validation_images": 1_000})
    for error, tone in ((0.002, "good"), (0.02, "fair")):
        lead = Lead(value=0.01, error=error, part=1.0)
        paired.finalists["uniform"] = uniform.model_copy(update={"lead": lead})
        assert chosen(paired)[0] == tone
        assert f"+1.00 ± {196 * error:.2f} points" in chosen(paired)[1]


def test_where_a_control_ended_best_mending_did_not_pay_and_the_page_says_so(reader, finished):
    seen = see(reader, finished)
    changed = {"exported": "pre_pruned", "best": "pre_pruned"}
    search = replace(seen.search, result=seen.search.result.model_copy(update=changed))
    tone, verdict = verdict_of(search, "finished", seen.pace, seen.fleet, seen.best, 0, {})
    assert tone == "fair"
    assert verdict == ("Finished: mending did not pay here. Pre-pruned ended best on validation, and was exported.")
    assert replace(seen, search=search).chosen is None, "no trial became it"


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ([0.9], "Pre-pruned has the best score, and was exported."),
        ([0.9, 0.1], "Pre-pruned is best on validation, without its fine-tuning, and was exported."),
    ],
)
def test_it_is_said_what_decided_where_no_fine_tuned_network_is_kept(reader, finished, validation, said):
    result = see(reader, finished).search.result
    change = {"part": 0.0, "validation": validation}
    finalists = {name: row.model_copy(update=change) for name, row in result.finalists.items()}
    untuned = result.model_copy(update={"exported": "pre_pruned", "best": None, "finalists": finalists})
    assert chosen(untuned)[1].endswith(said)
    assert untuned.on_validation == 0.9


def test_where_the_best_network_is_too_slow_it_is_not_said_that_the_exported_one_is_the_best(reader, finished):
    result = see(reader, finished).search.result.model_copy(update={"exported": "uniform", "best": "mended"})
    assert chosen(result) == (
        "fair",
        "Finished: mended ended best on validation, but misses the budget in time. Uniform is the best that meets it, "
        "and was exported.",
    )


def test_a_result_of_fewer_trials_than_there_are_now_is_said(reader, finished):
    seen = see(reader, finished)
    counts = TrialCounts(complete=40, stopped_early=10, failed=0)
    search = replace(seen.search, result=seen.search.result.model_copy(update={"trials": counts}))
    _, verdict = verdict_of(search, "finished", seen.pace, seen.fleet, seen.best, 0, {})
    assert verdict == (
        "Finished: mended, +1.40 ± 0.59 points over uniform, on 10,000 validation images. "
        "The result is of the first 50 trials."
    )


def test_a_study_of_stock_optuna_is_shown_as_far_as_it_goes(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=7)
    seen = reader.read(lambda snapshot: overview.overview(snapshot, find_search(snapshot, name=name)))
    assert (seen.state, seen.changes, seen.left_s) == ("running", [], None)
    assert seen.best.score == study.best_value
    assert overview.ending(seen) == "no number of trials is set"


def test_several_objectives_have_no_best(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name, directions=["minimize", "maximize"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=3)
    seen = reader.read(lambda snapshot: overview.overview(snapshot, find_search(snapshot, name=name)))
    assert seen.best is None


def test_hostile_attributes_of_a_study_are_left_out(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name)
    study.set_user_attr(
        "structure", {"groups": [1, None], "widths": {"a": "<b>"}, "layers": [{"name": 3}], "floor": []}
    )
    study.set_user_attr("results", ["no"])
    study.optimize(lambda trial: trial.set_user_attr("keep_counts", "[[") or 1.0, n_trials=1)
    seen = reader.read(lambda snapshot: overview.overview(snapshot, find_search(snapshot, name=name)))
    assert (seen.changes, seen.search.structure.widths, seen.search.result) == ([], {}, None)
    assert [reason.partition(":")[0] for reason in seen.search.unreadable] == ["structure", "results"]


NOW = datetime(2026, 1, 1)


def pace(done=50, quiet_s=1.0, failing=0, recent=50):
    begun = NOW - timedelta(hours=1)
    return Pace({"complete": done}, done, begun, NOW - timedelta(seconds=quiet_s), NOW, 1.0, 2.0, failing, recent)


@pytest.mark.parametrize(
    ("changed", "fleet", "pace", "state"),
    [
        ({}, FleetStatus(alive=2), pace(), "running"),
        ({}, FleetStatus(alive=2, here_s=3600), pace(quiet_s=600), "stuck"),
        ({}, FleetStatus(alive=2, here_s=20), pace(quiet_s=3600), "running"),
        ({}, FleetStatus(lost=2), pace(), "halted"),
        ({}, FleetStatus(), pace(0), "waiting"),
        ({"stopping": True}, FleetStatus(alive=1), pace(), "stopping"),
        ({"stopping": True}, FleetStatus(ended=1), pace(), "stopped"),
        ({}, FleetStatus(ended=1), pace(900), "finished"),
        ({"wanted": None}, FleetStatus(), pace(quiet_s=600), "idle"),
    ],
)
def test_states(reader, made, changed, fleet, pace, state):
    search = replace(reader.read(lambda snapshot: find_search(snapshot, study_id=made.study_id)), **changed)
    assert state_of(search, pace, fleet) == state
    tone, verdict = verdict_of(search, state, pace, fleet, None, 0, {})
    assert verdict.endswith(".")
    assert (tone == "bad") == (state in ("stuck", "halted"))


def test_where_nobody_works_any_more_the_last_failure_is_said(reader, made):
    fleet = FleetStatus(ended=1, last_failure="RuntimeError: out of memory.")
    search = reader.read(lambda snapshot: find_search(snapshot, study_id=made.study_id))
    _, verdict = verdict_of(search, "halted", pace(899), fleet, None, 0, {})
    assert verdict == "Halted: no worker is alive, 1 trial to go. The last failure: RuntimeError: out of memory."


def test_many_failures_are_trouble(reader, made):
    seen = see(reader, made)
    tone, verdict = verdict_of(seen.search, "running", pace(failing=20), seen.fleet, seen.best, 0, {})
    assert (tone, verdict) == ("bad", "In trouble: 20 of the last 50 trials failed.")


def test_nothing_better_for_long_is_levelling_off(reader, made):
    seen = see(reader, made)
    tone, verdict = verdict_of(seen.search, "running", pace(), seen.fleet, seen.best, 40, {})
    assert (tone, verdict) == ("fair", "Levelling off: nothing better for 40 trials.")


@pytest.mark.parametrize(("control", "tone", "said"), [(-0.5, "good", "above"), (0.5, "fair", "below")])
def test_before_fine_tuning_a_finished_search_is_held_against_its_controls(reader, made, control, tone, said):
    seen = see(reader, made)
    controls = {"uniform": control, "pre_pruned": -0.9}
    found = verdict_of(seen.search, "finished", seen.pace, seen.fleet, seen.best, 0, controls)
    distance = abs(seen.best.score - control)
    assert found == (tone, f"Finished: its score is {distance:.4f} {said} the better control's; not fine-tuned yet.")
