import copy
import dataclasses
import subprocess
import sys

import optuna
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mendsearch
from tests.cases.shared_networks import KeepsAverages
from tests.unit.mending.test_scoring import LABELS
from tests.zoo import IMAGES, build

CALL = {"budget": mendsearch.Budget(macs=0.4), "n_trials": 6, "quiet": True}
BOTH = TensorDataset(IMAGES, LABELS)


def test_a_live_network_comes_back_smaller_and_is_itself_untouched():
    model = build("residual").train()
    before = copy.deepcopy(model.state_dict())
    pruned = mendsearch.mend(model, calibration=IMAGES, validation=(IMAGES, LABELS), **CALL)
    assert type(pruned.model) is type(model)
    assert sum(p.numel() for p in pruned.model.parameters()) == pruned.params
    assert pruned.model(IMAGES).shape == (64, 4)
    assert len(pruned.study.trials) == 6
    assert pruned.score == pytest.approx(pruned.study.best_value, rel=0.1)
    assert pruned.keep_counts in [trial.user_attrs["keep_counts"] for trial in pruned.study.trials]
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore::mendsearch.CalibrationWarning")
def test_a_network_that_changes_its_buffers_in_passes_has_them_as_they_were():
    model, images = KeepsAverages().eval(), torch.randn(64, 3, 32, 32)
    nn.init.normal_(model.tail.fc.weight)
    model(images)
    before = copy.deepcopy(model.state_dict())
    mendsearch.mend(model, calibration=images, validation=images, **CALL)
    assert (before["passes"], before["average"].abs().sum() > 0) == (1, True)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_network_without_values_is_refused():
    with pytest.raises(mendsearch.UsageError, match=r"`conv1\.weight` of the network is on the meta device"):
        mendsearch.mend(build("residual").to("meta"), calibration=IMAGES, validation=IMAGES, **CALL)


def test_a_network_that_runs_in_inference_mode_is_refused():
    class Inference(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build("residual")

        @torch.inference_mode()
        def forward(self, images):
            return self.inner(images)

    with pytest.raises(mendsearch.UsageError, match=r"the forward pass runs in torch\.inference_mode"):
        mendsearch.mend(Inference(), calibration=IMAGES, validation=IMAGES, **CALL)


def test_a_network_whose_lazy_layers_have_no_size_yet_is_refused():
    lazy = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(mendsearch.UsageError, match=r"`2\.weight` of the network is not initialized"):
        mendsearch.mend(lazy, calibration=IMAGES, validation=IMAGES, **CALL)


def test_an_exported_program_is_refused():
    exported = torch.export.export(build("residual").eval(), (IMAGES[:2],)).module()
    with pytest.raises(mendsearch.UsageError, match="is an exported program, whose layers are gone"):
        mendsearch.mend(exported, calibration=IMAGES, validation=IMAGES, **CALL)


@pytest.mark.parametrize(
    "data",
    [DataLoader(BOTH, batch_size=10), BOTH, (IMAGES, LABELS)],
    ids=["loader", "dataset", "pair"],
)
def test_images_come_in_any_form_and_mean_the_same(data):
    expected = mendsearch.mend(build("residual"), calibration=IMAGES, validation=(IMAGES, LABELS), **CALL)
    found = mendsearch.mend(build("residual"), calibration=data, validation=data, **CALL)
    assert found.score == pytest.approx(expected.score, abs=1e-6)
    assert found.keep_counts == expected.keep_counts


def test_without_labels_the_search_runs_against_the_network_itself():
    images_only = DataLoader(TensorDataset(IMAGES), batch_size=16)
    pruned = mendsearch.mend(build("residual"), calibration=images_only, validation=images_only, **CALL)
    assert -5 < pruned.score < 0


def test_labels_out_of_range_are_refused():
    with pytest.raises(mendsearch.UsageError, match="out of range: got 0 to 9, expected 0 to 3"):
        mendsearch.mend(build("residual"), calibration=IMAGES, validation=(IMAGES, torch.arange(64) % 10), **CALL)


def test_what_is_no_image_is_refused():
    with pytest.raises(mendsearch.UsageError, match="validation: got a list of other things"):
        mendsearch.mend(build("residual"), calibration=IMAGES, validation=[1, 2], **CALL)
    with pytest.raises(mendsearch.UsageError, match="calibration: got no items of"):
        mendsearch.mend(build("residual"), calibration=IMAGES[:0], validation=IMAGES, **CALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "expected a torch.nn.Module"),
        ({"budget": 0.4}, r"got 0.4, expected mendsearch.Budget"),
        ({"n_trials": 0}, "n_trials: got 0"),
        ({"criterion": "L2"}, "got 'L2', expected one of gram"),
        ({"sampler": "cmaes"}, "got 'cmaes', expected one of mending"),
        ({"reconstruction": True}, "reconstruction: got True, expected one of sequence, channels, none"),
        ({"score": "accuracy"}, "score: got 'accuracy', expected one of agreement, loss"),
        ({"validation": IMAGES[:, :1]}, r"got inputs \(3, 8, 8\) float32 and \(1, 8, 8\)"),
        ({"validation": IMAGES / 0}, "not finite"),
        ({"validation": (IMAGES, torch.rand(63))}, "labels of shape"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(change, message):
    call = {"model": build("residual"), "calibration": IMAGES, "validation": IMAGES} | CALL | change
    with pytest.raises(mendsearch.UsageError, match=message):
        mendsearch.mend(call.pop("model"), **call)


def test_weights_that_are_not_finite_are_said_to_be():
    model = build("residual")
    model.fc.weight.data.fill_(torch.nan)
    with pytest.raises(mendsearch.UsageError, match="outputs are not finite"):
        mendsearch.mend(model, calibration=IMAGES, validation=IMAGES, **CALL)


@torch.no_grad()
def test_controls_come_with_figures_and_networks(tmp_path):
    pruned = mendsearch.mend(build("residual"), calibration=IMAGES, validation=IMAGES, **CALL)
    assert list(pruned.controls) == ["uniform", "pre_pruned", "curves", "random"]
    reference = build("residual")(IMAGES).log_softmax(1)
    for control in pruned.controls.values():
        model = control.model()
        assert not model.training
        assert model is not control.model()
        assert sum(parameter.numel() for parameter in model.parameters()) == control.params
        assert model.conv1.out_channels == control.keep_counts["conv1"]
        divergence = torch.nn.functional.kl_div(
            model(IMAGES).log_softmax(1), reference, log_target=True, reduction="none"
        )
        assert control.score == pytest.approx(-float(divergence.sum(1).mean()), rel=1e-3, abs=1e-5)
        assert control.macs <= 1.01 * pruned.macs
        assert pruned.score >= control.score
    assert pruned.structure.keep_counts == pruned.keep_counts
    sliced = mendsearch.apply(build("residual"), pruned.structure)
    assert [p.shape for p in sliced.parameters()] == [p.shape for p in pruned.model.parameters()]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:calibration")  # the network is untrained
def test_save_and_load_round_trip_in_a_fresh_process(tmp_path):
    model = mendsearch.models.registry.build_model("cifar-resnet", {"depth": 8, "width": 4}).eval()
    pruned = mendsearch.mend(model, calibration=IMAGES, validation=IMAGES, **CALL)
    mendsearch.save(pruned, tmp_path / "net", name="cifar-resnet", kwargs={"depth": 8, "width": 4})
    torch.save(IMAGES, tmp_path / "images.pt")
    script = (
        "import sys, torch, mendsearch; from safetensors.torch import save_file; "
        "net = mendsearch.load(sys.argv[1] + '/net'); "
        "images = torch.load(sys.argv[1] + '/images.pt', weights_only=True); "
        "save_file({'out': net(images).detach()}, sys.argv[1] + '/out.safetensors')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    from safetensors.torch import load_file

    torch.testing.assert_close(load_file(tmp_path / "out.safetensors")["out"], pruned.model(IMAGES))


def mend(**options):
    return mendsearch.mend(build("residual"), **CALL | {"calibration": IMAGES, "validation": IMAGES} | options)


def test_fine_tuning_of_ones_own_chooses_the_result():
    """All get a quarter, the better half another one, the better half of those the rest; the best comes back."""
    calls = []

    def finetune(model, part, seed):
        calls.append((part, seed, tuple(parameter.shape for parameter in model.parameters())))
        return model

    pruned = mend(validation=(IMAGES, LABELS), n_trials=12, finetune=finetune)
    quarter, half, whole = ([call for call in calls if call[1] == seed] for seed in (0, 1, 2))
    assert {part for part, *_ in quarter} == {0.25}
    assert (len(half), len(whole)) == (-(-len(quarter) // 2), -(-len(half) // 2))
    assert {part for part, *_ in half} == {0.25}
    assert {part for part, *_ in whole} == {0.5}
    assert tuple(parameter.shape for parameter in pruned.model.parameters()) in {shapes for *_, shapes in whole}
    assert pruned.chosen in (*pruned.controls, "mended", "mended_2", "mended_3")
    assert set(pruned.controls) == {"uniform", "pre_pruned", "curves", "random"}
    assert pruned.figure == "accuracy"
    assert f"in {pruned.figure}" in pruned.verdict


def test_the_result_says_by_how_much_it_is_ahead_of_the_controls():
    pruned = mend(n_trials=20)
    assert pruned.figure == "score"
    others = {name: control for name, control in pruned.controls.items() if control.keep_counts != pruned.keep_counts}
    assert set(pruned.leads) == set(others)
    for name, (ahead, error) in pruned.leads.items():
        assert ahead == pytest.approx(pruned.score - others[name].score, abs=1e-5)
        assert 0 < error < 1
    least = min(ahead for ahead, _ in pruned.leads.values())
    assert f"{least:+.4f}" in pruned.verdict
    lost = dataclasses.replace(pruned, chosen="uniform", best="uniform")
    assert lost.verdict == "mending did not pay: uniform is the best in score"
    late = dataclasses.replace(pruned, chosen="uniform", best="mended", leads={"mended": (-0.5, 0.01)})
    assert late.verdict == (
        "mended is the best in score and too slow; uniform is behind mended in score: -0.5000 ± 0.0196"
    )
    level = dataclasses.replace(late, leads={"mended": (-0.01, 0.01)})
    assert "uniform is level with mended" in level.verdict
    assert (late.mistimed, level.mistimed, lost.mistimed) == (True, False, False)


def test_what_fine_tuning_ruins_is_not_the_result():
    def ruin(model, part, seed):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.0 if part < 0.5 else float("nan"))
        return model

    pruned = mend(n_trials=12, finetune=ruin)
    assert all(torch.isfinite(parameter).all() for parameter in pruned.model.parameters())


@pytest.mark.parametrize("factor", [0.0, float("nan")])
def test_where_fine_tuning_ruins_all_the_network_from_before_is_the_result(factor, capsys):
    def ruin(model, part, seed):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(factor)
        return model

    pruned = mend(n_trials=5, finetune=ruin, quiet=False)
    assert "so it is kept as it was before" in capsys.readouterr().err
    assert all(parameter.isfinite().all() for parameter in pruned.model.parameters())
    assert any(parameter.any() for parameter in pruned.model.parameters())
    assert pruned.leads
    assert all(value >= 0 for value, _ in pruned.leads.values())


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "got NoneType, expected the fine-tuned torch.nn.Module"),
        (torch.nn.Linear(2, 2), "got another network, whose .* has the shape no such tensor, expected"),
    ],
)
def test_fine_tuning_that_returns_another_network_is_refused_at_once(found, reason):
    called = []
    with pytest.raises(mendsearch.UsageError, match=f"finetune: {reason}"):
        mend(n_trials=5, finetune=lambda *given: called.append(given) or found)
    assert len(called) == 1


def test_a_search_is_not_lost_where_the_callers_fine_tuning_fails():
    calls = []

    def breaks(model, part, seed):
        calls.append(part)
        if part == 0.5:
            raise RuntimeError("no memory left\nfor this")
        return model

    with pytest.raises(mendsearch.FinetuneError, match=r"^finetune: RuntimeError: no memory left \(test_api") as raised:
        mend(n_trials=5, finetune=breaks)
    assert calls[-1] == 0.5
    assert isinstance(raised.value.__cause__, RuntimeError)
    found, alone = raised.value.pruned, mend(n_trials=5)
    assert (found.keep_counts, found.score, found.figure) == (alone.keep_counts, alone.score, "score")
    assert torch.equal(found.model.eval()(IMAGES), alone.model.eval()(IMAGES))


def test_items_that_belong_together_are_held_out_together():
    """Eight copies of each item: where that is known, none of an item that layers are fitted to is held out."""
    few, groups = IMAGES[:8].repeat(8, 1, 1, 1), list(range(8)) * 8
    known, unknown = (mend(calibration=few, calibration_groups=given) for given in (groups, None))
    assert known.score != pytest.approx(unknown.score, abs=1e-9)
    with pytest.raises(
        mendsearch.UsageError, match=r"calibration_groups: got shape \(7,\) int64 for 64 items, expected"
    ):
        mend(calibration_groups=groups[:7])


@pytest.mark.filterwarnings("ignore::mendsearch.CalibrationWarning")  # the weights are untrained
def test_a_space_of_one_structure_is_searched_at_once_and_it_is_said(capsys):
    """One coupling group, whose budget leaves one structure that uses it up."""
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 4)).eval()
    images = torch.randn(64, 3, 8, 8)
    budget = mendsearch.Budget(macs=0.4)
    pruned = mendsearch.mend(model, calibration=images, validation=images, budget=budget, n_trials=30)
    assert len({str(trial.params) for trial in pruned.study.trials}) == 1
    assert len(pruned.study.trials) == 30
    assert capsys.readouterr().err.count("the search space may be exhausted") == 1


def test_a_search_ends_when_its_time_is_over():
    pruned = mend(n_trials=100_000, seconds=1.0)
    assert 1 < len(pruned.study.trials) < 100_000
    for seconds in (0, -1.0, float("nan"), True, "60"):
        with pytest.raises(mendsearch.UsageError, match=r"seconds: got .*, expected a positive number"):
            mend(n_trials=3, seconds=seconds)


@pytest.mark.filterwarnings("ignore:calibration")  # the other network is untrained
def test_an_earlier_study_gives_the_first_structures():
    earlier = mend(n_trials=30)
    tighter = mendsearch.Budget(macs=0.2)
    cold, warm = (mend(n_trials=40, budget=tighter, warm_start=study) for study in (None, earlier.study))
    first, second = ([trial.user_attrs["keep_counts"] for trial in found.study.trials] for found in (cold, warm))
    starts = next(at for at, (one, other) in enumerate(zip(first, second, strict=True)) if one != other)
    assert starts >= 3, "the starting structures come first in both"
    with pytest.raises(mendsearch.UsageError, match=r"warm start: study `mend` has other coupling groups"):
        mendsearch.mend(
            build("flattened"), calibration=IMAGES, validation=IMAGES, **CALL | {"warm_start": earlier.study}
        )
    with pytest.raises(mendsearch.UsageError, match=r"warm start: study `empty` has no scored structure"):
        mend(warm_start=optuna.create_study(study_name="empty"))
