import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget import Limits, build_cost_model, project, read_profile
from mendsearch.budget.features import Features, geometries
from mendsearch.budget.latency import Cache, LatencyModel, accuracy, fit, fit_in
from mendsearch.budget.profile import LatencyProfile
from mendsearch.config import Budget, PruneSpec
from mendsearch.coupling.graph import find_coupling
from mendsearch.errors import BudgetError, UsageError
from mendsearch.latency.candidates import builder, random_structures
from mendsearch.latency.measuring import measure
from mendsearch.latency.profiling import FEW, profile_network
from mendsearch.latency.timers import Here
from mendsearch.mending.search import build_problem
from mendsearch.models.resnet import ResNet
from tests.unit.latency.synthetic import Synthetic, milliseconds

torch.manual_seed(0)
MODEL = ResNet(depth=8, width=32, in_channels=3).eval()
IMAGES = torch.randn(2, 3, 16, 16)
ITEM = Batch.of(IMAGES[:1])
COUPLING = find_coupling(MODEL, IMAGES)


def profiled(**given):
    device = Synthetic(**given)
    return profile_network(MODEL, ITEM, Here(device, MODEL, ITEM, device.clock), seconds=60, target=0.03)


PROFILE = profiled()


def test_the_model_recovers_what_the_device_does():
    costs = build_cost_model(MODEL, COUPLING, {"latency_ms": PROFILE})
    build, structures = builder(MODEL, COUPLING), random_structures(COUPLING, 99)
    counts = np.array([next(structures) for _ in range(30)])
    true = np.array([milliseconds(build(one)) for one in counts])
    # milliseconds at the speed of the median pass: the clock of this device only slows down
    speed = PROFILE.dense_ms / milliseconds(MODEL)
    assert np.abs(costs.costs(counts, ["latency_ms"])["latency_ms"] / (speed * true) - 1).mean() < 0.05
    assert PROFILE.model.step == 8


def test_a_machine_that_drifts_slows_no_candidate_more_than_another():
    device = Synthetic(drift=3e-3)
    passes = {"same": device.prepare(MODEL, IMAGES), "again": device.prepare(MODEL, IMAGES)}
    times = measure(passes, device.prepare(MODEL, IMAGES), device, rounds=5, clock=device.clock)
    assert times.ms["same"] == pytest.approx(times.ms["again"], rel=0.01)
    assert times.ms["same"] == pytest.approx(times.dense_ms, rel=0.02)


def test_a_machine_too_noisy_is_refused_with_its_spread_before_the_time_is_over(monkeypatch):
    device, prepared = Synthetic(), []
    rng = np.random.default_rng(0)
    real = device.prepare
    monkeypatch.setattr(device, "prepare", lambda *given: prepared.append(1) or real(*given))

    def clock():
        device.now += float(rng.exponential(0.05))
        return device.now

    with pytest.raises(UsageError, match=r"too noisy to measure: .* differ by \d+%"):
        profile_network(MODEL, ITEM, Here(device, MODEL, ITEM, clock), seconds=3600)
    assert len(prepared) < 48, "networks of four measurements"


def test_a_profile_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "latency.json"
    path.write_text(PROFILE.model_dump_json())
    assert read_profile(path) == PROFILE
    assert read_profile(PROFILE.short.model_dump(mode="json")).digest == PROFILE.digest


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": 1}'])
def test_what_is_no_profile_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "latency.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BudgetError, match=r"^budget\.profile: .*mendsearch profile") as caught:
        read_profile(path)
    assert "\n" not in str(caught.value)


def test_a_profile_of_another_network_is_refused():
    other = ResNet(depth=8, width=16, in_channels=3).eval()
    with pytest.raises(BudgetError, match="profile of another network"):
        build_cost_model(other, find_coupling(other, IMAGES), {"latency_ms": PROFILE})
    with pytest.raises(BudgetError, match="or of other input shapes"):
        build_cost_model(MODEL, find_coupling(MODEL, torch.randn(2, 3, 32, 32)), {"latency_ms": PROFILE})


def test_a_profile_takes_the_time_that_its_least_candidates_take():
    device = Synthetic()
    found = profile_network(MODEL, ITEM, Here(device, MODEL, ITEM, device.clock), seconds=1e-9, target=0.03)
    assert len(found.measured) == FEW


def test_the_model_is_fitted_to_the_dense_network_too():
    class Uneven(Synthetic):
        """The dense network takes 0.8 of the time that its candidates would tell."""

        def milliseconds(self, model):
            return super().milliseconds(model) * (0.8 if model is MODEL else 1)

    device = Uneven()
    found = profile_network(MODEL, ITEM, Here(device, MODEL, ITEM, device.clock), seconds=60, target=0.03)
    costs = build_cost_model(MODEL, COUPLING, {"latency_ms": found})
    said = float(costs.costs(COUPLING.widths, ["latency_ms"])["latency_ms"])
    assert said < 1.2 * found.dense_ms, "by its candidates alone it would be 1.25"


def limits(**budget):
    return Limits(
        Budget(profile=PROFILE.model_dump(mode="json"), **budget),
        build_cost_model(MODEL, COUPLING, {"latency_ms": PROFILE}),
    )


def test_milliseconds_are_absolute_and_percentages_of_the_dense_network():
    dense = PROFILE.dense_ms
    assert limits(latency_ms=dense / 2).absolute["latency_ms"] == pytest.approx(dense / 2)
    assert limits(latency_ms="50%").absolute["latency_ms"] == pytest.approx(dense / 2)
    assert limits(latency_ms=0.9).absolute["latency_ms"] == 0.9


def test_a_correction_leaves_a_percentage_where_it_was():
    slower = PROFILE.model_copy(update={"model": PROFILE.model.model_copy(update={"correction": 1.2})})
    costs = build_cost_model(MODEL, COUPLING, {"latency_ms": slower})
    corrected = Limits(Budget(profile=slower.model_dump(mode="json"), latency_ms="50%"), costs)
    assert corrected.absolute == limits(latency_ms="50%").absolute
    assert corrected.usage(COUPLING.widths) == pytest.approx(1.2 * limits(latency_ms="50%").usage(COUPLING.widths))


def test_the_layers_and_what_is_outside_them_make_the_time():
    costs = build_cost_model(MODEL, COUPLING, {"latency_ms": PROFILE})
    layers = costs.layer_ms(COUPLING.widths)
    assert layers.keys() == costs.layer_macs().keys()
    whole = costs.costs(COUPLING.widths, ["latency_ms"])["latency_ms"]
    assert whole - sum(layers.values()) == pytest.approx(PROFILE.model.coefficients[0])


def test_a_budget_below_the_fastest_network_says_how_fast_that_is():
    with pytest.raises(BudgetError, match=r"latency_ms=0\.0001 cannot be met: one channel .* costs 0\.\d+ ms"):
        limits(latency_ms=0.0001)


@pytest.mark.parametrize("pattern", [r"costs ([\d.]+) ms", r"ms, ([\d.]+%)"])
def test_what_is_said_to_be_least_is_accepted(pattern):
    with pytest.raises(BudgetError) as caught:
        limits(latency_ms=0.0001)
    least = re.search(pattern, str(caught.value))[1]
    assert limits(latency_ms=least if least.endswith("%") else float(least)).absolute


def test_a_device_on_which_pruning_gains_nothing_is_told_apart():
    costs = build_cost_model(MODEL, COUPLING, {"latency_ms": PROFILE})
    none = [PROFILE.dense_ms, *[0.0] * (len(PROFILE.model.coefficients) - 1)]
    features = costs.latencies["latency_ms"].features
    costs.latencies["latency_ms"] = LatencyModel(features, 1, none, PROFILE.dense_ms)
    with pytest.raises(BudgetError, match="no pruned network is faster than the dense one"):
        Limits(Budget(profile=PROFILE.model_dump(mode="json"), latency_ms="80%"), costs)


def test_all_limits_hold_at_once():
    both = limits(latency_ms="60%", macs=0.5, size_bytes=0.4, activation_bytes=0.8)
    counts = project(COUPLING.widths, both.steps, both)
    assert both.fits(counts)
    for name in ("macs", "latency_ms", "size_bytes", "activation_bytes"):
        assert both.costs.costs(counts, [name])[name] <= both.absolute[name]


def on_devices(**given):
    """Limits of half the dense network's time on two devices, whose profiles are given."""
    budget = Budget(
        device=[{"name": name, "latency_ms": "50%", "profile": one} for name, one in given.items()], params=0.9
    )
    return build_problem(MODEL, IMAGES, budget, PruneSpec(multiple="auto")).limits


def test_the_limits_of_all_devices_hold_at_once():
    wider = PROFILE.model_copy(update={"model": PROFILE.model.model_copy(update={"step": 16})})
    both = on_devices(board=PROFILE, laptop=wider)
    assert set(both.steps) == {16}
    names = ("latency_ms.board", "latency_ms.laptop", "params")
    assert both.absolute.keys() == set(names)
    counts = project(COUPLING.widths, both.steps, both)
    assert both.fits(counts)
    for name in names:
        assert both.costs.costs(counts, [name])[name] <= both.absolute[name]
    with pytest.raises(BudgetError, match=r"budget latency_ms\.board=0\.0001 cannot be met: .* costs 0\.\d+ ms"):
        on_board = {"name": "board", "latency_ms": 0.0001, "profile": PROFILE}
        build_problem(MODEL, IMAGES, Budget(device=[on_board]))


def test_the_profile_that_is_of_another_network_is_named():
    wrong = PROFILE.model_copy(update={"network": "another"})
    with pytest.raises(BudgetError, match=r"^budget\.device laptop: profile: got the profile of another network"):
        on_devices(board=PROFILE, laptop=wrong)


def test_a_model_that_tells_no_candidate_from_another_has_a_tau_of_zero():
    shapes = {name: tuple(one.shape) for name, one in MODEL.named_parameters()}
    features = Features(COUPLING, shapes, geometries(MODEL))
    constant = LatencyModel(features, 1, [1.0, *[0.0] * features.sums("kind").shape[0]])
    structures = random_structures(COUPLING, 0)
    counts = np.array([next(structures) for _ in range(5)])
    assert accuracy(constant, counts, np.arange(1.0, 6.0))[1] == 0


def test_a_cache_that_keeps_weights_from_pass_to_pass_is_found():
    """A network whose weights do not fit reads them all from memory; one whose weights do is far quicker."""
    layers = [nn.Conv2d(3, 512, 1), nn.Conv2d(512, 1024, 1), nn.Conv2d(1024, 1024, 1), nn.Conv2d(1024, 512, 1)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)).eval()
    coupling = find_coupling(model, torch.randn(2, 3, 4, 4))
    shapes = {name: tuple(one.shape) for name, one in model.named_parameters()}
    features = Features(coupling, shapes, geometries(model))
    structures = random_structures(coupling, 0)
    counts = np.array([coupling.widths, *(next(structures) for _ in range(80))])
    values = features.blocks(counts, 1).reshape(len(counts), 6, -1)[:, 3].sum(1)
    ms = 0.2 + 1e-7 * features.blocks(counts, 1).reshape(len(counts), 6, -1)[:, 0].sum(1)
    ms = ms + 2e-6 * values * np.clip(values / 2**20 / 0.5 - 2, 0, 1)
    found, form = fit(features, counts[:60], ms[:60])
    assert form.cache == found.cache.values == 2**20
    assert found.cache.ms == pytest.approx(2e-6, rel=0.1)
    assert accuracy(found, counts[60:], ms[60:])[0] < 0.03
    without = fit_in(features, dataclasses.replace(form, cache=None), counts[:60], ms[:60])
    assert without.cache is None
    assert accuracy(without, counts[60:], ms[60:])[0] > 0.1
    layered = found.by_operation(counts).sum(axis=1) + found.coefficients[0]
    assert np.allclose(layered, found.ms(counts))


def test_a_profile_corrects_what_the_cache_costs_too():
    with_cache = PROFILE.model.model_copy(update={"cache": 1e6, "missed": 2e-6, "correction": 1.5})
    profile = PROFILE.model_copy(update={"model": with_cache})
    shapes = {name: tuple(one.shape) for name, one in MODEL.named_parameters()}
    model = profile.latency_model(Features(COUPLING, shapes, geometries(MODEL)))
    assert model.cache == Cache(1e6, 3e-6)
    assert LatencyProfile.model_validate_json(profile.model_dump_json()) == profile
    assert (
        LatencyProfile.model_validate(PROFILE.model_dump(mode="json", exclude={"model": {"cache", "missed"}}))
        == PROFILE
    )
