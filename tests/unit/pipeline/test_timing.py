"""What is exported meets its latency by measurement, if any finalist does."""

from types import SimpleNamespace

import pytest
import torch

from mendsearch.pipeline.finetuning import Finetuned
from mendsearch.pipeline.timing import fastest_enough, meets
from mendstore.records import Timing


def finalist(validation, part=1.0):
    return Finetuned(
        model=torch.nn.Identity(), counts=None, score=-0.1, accuracy_before=None, accuracy=None, metric_before=None,
        metric=None, validation=(0.5, validation), part=part,
    )  # fmt: skip


TUNED = {"uniform": finalist(0.7), "pre_pruned": finalist(0.8, 0.5), "mended": finalist(0.9)}


def settled(noise=0.02, **measured):
    said = []
    run = SimpleNamespace(reporter=SimpleNamespace(say=said.append))
    timing = Timing(
        setting={}, profile="digest", error=0.04, asked_ms=8.0, predicted_ms=dict.fromkeys(TUNED, 7.9),
        measured_ms=measured, noise=noise, met=None,
    )  # fmt: skip
    return fastest_enough(run, timing, TUNED, "mended"), said, timing


def test_the_best_is_exported_where_it_meets_the_budget_within_the_noise():
    chosen, (said,), timing = settled(uniform=7.0, pre_pruned=7.0, mended=8.1)
    assert (chosen, meets(timing, chosen)) == ("mended", True)
    assert said == ("the exported network meets its latency: 8.1 ms measured, 7.9 ms predicted, 8 ms asked, noise 2.0%")


def test_where_it_does_not_the_best_that_does_is_exported():
    chosen, said, timing = settled(uniform=7.0, pre_pruned=7.5, mended=9.0)
    assert (chosen, meets(timing, chosen), meets(timing, "mended")) == ("pre_pruned", True, False)
    assert said[0] == "mended is best and takes 9 ms; pre-pruned is the best that meets the budget"


def test_where_none_does_the_best_is_exported_and_it_is_said():
    chosen, (said,), timing = settled(uniform=9.0, pre_pruned=9.0, mended=10.0)
    assert (chosen, meets(timing, chosen)) == ("mended", False)
    assert said.startswith("the exported network does not meet its latency: 10 ms measured")
    assert said.endswith("; ask for 6.4 ms, or make a new profile")


@pytest.mark.parametrize("best", TUNED)
def test_without_a_measurement_the_best_is_exported(best):
    chosen, said, timing = settled(noise=None)
    assert (chosen, said, meets(timing, best)) == ("mended", [], None)
