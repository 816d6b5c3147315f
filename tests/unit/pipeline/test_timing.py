"""What is exported meets its limits in time by measurement, if any finalist does."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mendsearch.budget import LatencyProfile, read_profile
from mendsearch.budget.profile import Fitted, Setting
from mendsearch.config import Budget
from mendsearch.latency.finalists import drift, fastest_enough, meets, with_times
from mendsearch.latency.measuring import Times
from mendsearch.mending.ladder import Standing, kept
from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.timing import settled as settle
from mendstore.records import Timing

STRUCTURES = (np.array([number]) for number in itertools.count())


def finalist(validation, part=1.0, counts=None):
    """One that stood at 0.5 before its fine-tuning; a structure of its own by default."""
    stands = kept(Standing(0.5, 0.0), [Standing(validation, 0.0)])
    return Finetuned(
        model=torch.nn.Identity(), counts=next(STRUCTURES) if counts is None else counts, score=-0.1, accuracy_before=None,
        accuracy=None, accuracy_error=None, metric_before=None,
        metric=None, validation=(0.5, validation), kept=stands, part=part if stands.rungs else 0.0,
    )  # fmt: skip


PROFILE = LatencyProfile(
    network="digest", dense_ms=10.0, noise=0.02, seconds=1.0,
    setting=Setting(runtime="torch", device="cpu", batch=1, threads=1, dtype="float32"),
    model=Fitted(step=1, coefficients=(1.0,), error=0.04, tau=0.9, held_out=12, correction=1.5),
)  # fmt: skip
TUNED = {"uniform": finalist(0.7), "pre_pruned": finalist(0.8, 0.5), "mended": finalist(0.9)}


def run_of(folder, budget):
    said = []
    run = SimpleNamespace(
        reporter=SimpleNamespace(say=said.append), spec=SimpleNamespace(budget=budget),
        folder=SimpleNamespace(path=folder),
    )  # fmt: skip
    return run, said


def times(noise=0.02, dense=10.0, **measured):
    return Timing(
        setting={}, profile="digest", error=0.04, asked_ms=8.0, predicted_ms=dict.fromkeys(TUNED, 7.9) | {"dense": 9.8},
        measured_ms={"dense": dense} | measured, pace=dense / PROFILE.dense_ms, noise=noise, met=None,
    )  # fmt: skip


def settled(folder, noise=0.02, latency_ms=8, **measured):
    run, said = run_of(folder, Budget(latency_ms=latency_ms, profile=PROFILE))
    timing = times(noise, **measured)
    return settle(run, {"latency_ms": timing}, TUNED, "mended"), said, timing


def test_the_best_is_exported_where_it_meets_the_budget_within_the_noise(tmp_path):
    chosen, (said,), timing = settled(tmp_path, uniform=7.0, pre_pruned=7.0, mended=8.1)
    assert (chosen, meets(timing, chosen)) == ("mended", True)
    assert said == (
        "the mended network meets its latency: 8.1 ms measured, 7.9 ms predicted, 8 ms asked, 10 ms dense, noise 2.0%"
    )


def test_where_it_does_not_the_best_that_does_is_exported(tmp_path):
    chosen, said, timing = settled(tmp_path, uniform=7.0, pre_pruned=7.5, mended=9.0)
    assert (chosen, meets(timing, chosen), meets(timing, "mended")) == ("pre_pruned", True, False)
    assert (tmp_path / "latency.json").is_file()
    assert said[0] == "mended is best and takes 9 ms; pre-pruned is the best that meets the budget"


def test_where_none_does_the_best_is_exported_and_it_is_said(tmp_path):
    chosen, (said,), timing = settled(tmp_path, uniform=9.0, pre_pruned=9.0, mended=10.0)
    assert (chosen, meets(timing, chosen)) == ("mended", False)
    assert said.startswith("the mended network does not meet its latency: 10 ms measured")
    corrected = read_profile(tmp_path / "latency.json")
    assert corrected.model.correction == pytest.approx(1.5 * 9 / 7.9), "the median of three"
    assert corrected.digest != PROFILE.digest


@pytest.mark.parametrize(("dense", "most"), [(10.0, 8.0), (20.0, 16.0), (5.0, 4.0)])
def test_a_limit_is_taken_at_the_pace_that_the_device_has_now(dense, most):
    now = Times({"dense": dense, "mended": 9.0}, dense, 0.02, 0.01)
    timing = with_times(times(None), PROFILE, now)
    assert (timing.asked_ms, timing.most_ms, timing.noise) == (8.0, most, now.error)
    assert meets(timing, "mended") is (dense == 20.0)
    line = drift(PROFILE, now, "latency_ms.board")
    if dense == 10.0:
        assert line is None
    else:
        assert line == (
            f"the dense network takes {dense:.3g} ms on board now, and took 10 ms in the profile: limits are taken as "
            f"{dense / 10:.2f} times as long; if the device stays so, make the profile again"
        )


@pytest.mark.parametrize(
    ("dense", "said"), [(10.05, "9 ms measured, "), (20.0, "9 ms measured (4.5 at the pace of the profile), ")]
)
def test_the_last_line_says_what_was_measured_at_the_pace_of_the_profile(dense, said):
    timing = with_times(times(None), PROFILE, Times({"dense": dense, "mended": 9.0}, dense, 0.02, 0.01))
    _, (line,) = fastest_enough({"latency_ms": timing}, ["mended"])
    assert said in line
    assert "8 ms asked" in line


def test_only_networks_that_were_too_slow_correct_the_model(tmp_path):
    settled(tmp_path, uniform=5.0, pre_pruned=6.0, mended=9.0)
    assert read_profile(tmp_path / "latency.json").model.correction == pytest.approx(1.5 * 9 / 7.9)


@pytest.mark.parametrize("latency_ms", [8, "80%"])
def test_the_speed_of_the_day_does_not_correct_the_model(tmp_path, latency_ms):
    settled(tmp_path, latency_ms=latency_ms, dense=11.0, uniform=9.0, pre_pruned=9.0, mended=10.0)
    corrected = read_profile(tmp_path / "latency.json")
    assert corrected.model.correction == pytest.approx(1.5 * 9 / 7.9 * PROFILE.dense_ms / 11.0)


@pytest.mark.parametrize("best", TUNED)
def test_without_a_measurement_the_best_is_exported(tmp_path, best):
    chosen, said, timing = settled(tmp_path, noise=None)
    assert (chosen, said, meets(timing, best)) == ("mended", [], None)


def on_two(folder, **measured):
    """Settled on two devices, of which `board` is measured as given, and `laptop` always in time."""
    limits = [{"name": name, "latency_ms": 8, "profile": PROFILE} for name in ("board", "laptop")]
    run, said = run_of(folder, Budget(device=limits))
    timings = {"latency_ms.board": times(**measured), "latency_ms.laptop": times(**dict.fromkeys(TUNED, 7.0))}
    return settle(run, timings, TUNED, "mended"), said


def test_on_several_devices_a_network_has_to_meet_every_limit(tmp_path):
    chosen, said = on_two(tmp_path, uniform=7.0, pre_pruned=9.0, mended=9.0)
    assert chosen == "uniform"
    assert said[0] == "mended is best and takes 9 ms on board; uniform is the best that meets the budget"
    assert said[1].startswith("the uniform network meets its latency on board: 7 ms measured")
    assert said[2].startswith("the uniform network meets its latency on laptop: 7 ms measured")
    assert [path.name for path in tmp_path.iterdir()] == ["latency-board.json"], "the other model was right"


def test_a_device_that_was_not_there_decides_nothing(tmp_path):
    chosen, said = on_two(tmp_path, noise=None)
    assert chosen == "mended"
    (line,) = said
    assert line.startswith("the mended network meets its latency on laptop")
