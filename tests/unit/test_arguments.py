"""What is wrong in a call is said in one line, of its arguments."""

import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.errors import UsageError
from tests.unit.test_api import CALL, LABELS
from tests.zoo import IMAGES, build


def refused(**change):
    call = {"model": build("residual"), "calibration": IMAGES, "validation": IMAGES} | CALL | change
    with pytest.raises(UsageError) as caught:
        mendsearch.mend(call.pop("model"), **call)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"macs": "40%"}, "Budget: macs: got '40%', expected a valid number"),
        ({"macs": -1}, "Budget: macs: got -1"),
        ({"flops": 0.4}, "Budget: unknown argument `flops`"),
        ({}, "Budget: budget: a budget needs `macs`, `params`, `latency_ms`"),
    ],
)
def test_a_budget_is_refused_in_one_line(limits, said):
    with pytest.raises(UsageError) as caught:
        mendsearch.Budget(**limits)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"n_trials": 2.5},
        {"n_trials": True},
        {"n_trials": 99999999999},
        {"seed": -1},
        {"seed": 1.0},
        {"calibration_items": 0},
        {"validation_items": "all"},
    ],
)
def test_whole_numbers_are_whole_numbers(change):
    ((argument, value),) = change.items()
    assert refused(**change).startswith(f"{argument}: got {value!r}, expected a whole number from ")


@pytest.mark.parametrize("name", ["", "a/b", "it's", " a", "-a", "x" * 200, None])
def test_names_are_checked_as_on_the_command_line(name):
    assert refused(name=name).startswith("name: got ")


def test_a_prune_that_is_none_is_refused():
    assert refused(prune={"floor": 0.3}).startswith("prune: got {'floor': 0.3}, expected mendsearch.PruneSpec")


@pytest.mark.parametrize(
    ("finetune", "said"),
    [
        (3, "got int"),
        (lambda model: model, "got a function (model)"),
        (lambda model, part, *, seed: model, "got a function (model, part, *, seed)"),
    ],
)
def test_a_fine_tuning_of_another_form_is_refused_before_the_search(finetune, said):
    assert refused(finetune=finetune) == f"finetune: {said}, expected a function (model, part, seed) -> model"


@pytest.mark.parametrize(
    "change", [{"score_outputs": {"aux": "kl"}}, {"score_outputs": {"output": "mse"}}, {"score_outputs": {"output": 3}}]
)
def test_errors_speak_of_arguments(change):
    said = refused(**change)
    assert "score.outputs" not in said
    assert "score_outputs" in said


class Whole(nn.Sequential):
    """With a part that was compiled."""

    def __init__(self, in_place):
        super().__init__(
            nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 3)), nn.Flatten(), nn.LazyLinear(4)
        )
        self(IMAGES)
        if in_place:
            self[1].compile(backend="eager")
        else:
            self[1] = torch.compile(self[1], backend="eager")


@pytest.mark.parametrize("in_place", [True, False])
def test_a_part_that_is_compiled_is_refused_at_once(in_place):
    assert "`1` of the network is compiled in place" in refused(model=Whole(in_place))


def test_a_compiled_network_is_taken_out_of_its_wrapper_before_it_runs():
    """Its compiler would only be found missing, or take minutes, once it runs."""

    def never(graph, inputs):
        raise AssertionError("it was compiled")

    pruned = mendsearch.mend(
        torch.compile(build("residual"), backend=never), calibration=IMAGES, validation=(IMAGES, LABELS), **CALL
    )
    assert pruned.model(IMAGES).shape == (64, 4)


def test_progress_is_told_and_a_callback_may_end_the_call():
    seen = []
    mendsearch.mend(build("residual"), calibration=IMAGES, validation=IMAGES, **CALL, on_progress=seen.append)
    assert [step.stage for step in seen if step.done == step.total] == ["rank", "mend", "refine"]
    trials = [step for step in seen if step.stage == "mend"]
    assert [step.done for step in trials] == list(range(1, CALL["n_trials"] + 1))
    best = [float(step.note.removeprefix("best score ")) for step in seen if step.stage == "refine"]
    assert best == sorted(best), "the best so far, not the last"

    class Enough(Exception):
        pass

    def enough(step):
        raise Enough

    with pytest.raises(Enough):
        mendsearch.mend(build("residual"), calibration=IMAGES, validation=IMAGES, **CALL, on_progress=enough)


def test_a_call_that_is_stopped_gives_what_it_has(capsys):
    def stop(step):
        if step.stage == "mend" and step.done == 3:
            raise KeyboardInterrupt

    call = CALL | {"n_trials": 50, "quiet": False}
    pruned = mendsearch.mend(build("residual"), calibration=IMAGES, validation=IMAGES, **call, on_progress=stop)
    states = [trial.state.name for trial in pruned.study.trials]
    assert states.count("COMPLETE") + states.count("PRUNED") == 3
    assert "RUNNING" not in states
    assert pruned.model(IMAGES).shape == (64, 4)
    assert "stopped after 3 of 50 trials" in capsys.readouterr().err


def test_the_score_of_the_trial_is_told_beside_that_of_the_network():
    pruned = mendsearch.mend(build("residual"), calibration=IMAGES, validation=IMAGES, **CALL)
    values = {str(trial.user_attrs["keep_counts"]): trial.value for trial in pruned.study.trials}
    assert pruned.trial_score == values.get(str(dict(pruned.keep_counts)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"score_outputs": "squared"}, "expected a dict by output, such as {'output': 'squared'}"),
        ({"batch": "x"}, "expected a function, or None"),
        ({"on_progress": 3}, "expected a function, or None"),
        ({"early_stopping": "no"}, "expected True or False"),
        ({"quiet": "yes"}, "expected True or False"),
        ({"calibration_groups": "a"}, "expected a whole number for each item"),
        ({"warm_start": "x"}, "expected an Optuna study"),
    ],
)
def test_other_arguments_are_refused_in_one_line_too(change, expected):
    ((argument, _),) = change.items()
    said = refused(**change)
    assert said.startswith(f"{argument}: got ")
    assert expected in said


@pytest.mark.filterwarnings("ignore::mendsearch.calibration.CalibrationWarning")
def test_what_stays_whole_is_said_and_kept(capsys):
    class Averaged(nn.Sequential):
        def forward(self, images):
            return self[1](self[0](images) * self[0](images).mean(1, keepdim=True)).mean((2, 3))

    model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), Averaged(nn.Conv2d(12, 8, 3), nn.Conv2d(8, 10, 3))).eval()
    pruned = mendsearch.mend(
        model, calibration=IMAGES, validation=IMAGES, budget=mendsearch.Budget(macs=0.7), n_trials=2
    )
    assert "mean over its channels" in pruned.whole["1.0"]
    said = capsys.readouterr().err
    assert "1 of 3 layers keep all their channels, such as `1.0`: mean over its channels" in said
