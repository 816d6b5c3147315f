"""What dashboards are told of a search: read back by them, and true."""

import json

import pytest

from mendsearch.study.description import description
from mendstore.records import STRUCTURE, Structure
from tests.unit.mending.test_scoring import search_of


@pytest.fixture(scope="module")
def search():
    return search_of("residual", macs=0.4)


@pytest.fixture(scope="module")
def told(search):
    return Structure.read(json.loads(description(search)[STRUCTURE]))


def test_structures_are_those_of_the_search(search, told):
    coupling = search.problem.coupling
    assert told.groups == list(coupling.names)
    for name, counts in {
        "widths": coupling.widths, "floor": search.space.floor, "pre_pruned": search.pre_pruned,
        "uniform": search.uniform,
    }.items():  # fmt: skip
        assert getattr(told, name) == coupling.keep_counts(counts)
    assert {name: len(curve) - 1 for name, curve in told.error_curves.items()} == told.widths


def test_controls_have_the_score_that_a_trial_of_them_has(search, told):
    structures = {"pre_pruned": search.pre_pruned, "uniform": search.uniform}
    assert told.controls == {name: search.scorer.score(counts).value for name, counts in structures.items()}


def test_what_the_score_is_made_of(search, told):
    (output,) = told.outputs
    assert (output.name, output.divergence, output.shape, output.axis) == ("output", "kl", [4], 1)
    assert told.reference == "dense"
    for name, score in told.controls.items():
        assert told.control_divergences[name] == {"output": pytest.approx(-score)}


def test_a_metric_is_named():
    def metric(model, batch):
        return model(batch).amax(1)

    search = search_of("residual", labels=None, metric=metric, score="mine:metric")
    told = Structure.read(json.loads(description(search)[STRUCTURE]))
    assert (told.reference, told.metric, told.outputs) == ("metric", "mine:metric", [])
    assert told.reference_name == "mine:metric"


@pytest.mark.parametrize("name", ["widths", "pre_pruned", "uniform"])
def test_macs_by_layer_add_up_to_the_cost_of_a_structure(search, told, name):
    counts = getattr(told, name)
    layers = sum(layer.macs * told.share(layer, counts) for layer in told.layers)
    groups = search.problem.coupling.names
    cost = search.problem.limits.costs.cost([counts[group] for group in groups])
    assert layers == pytest.approx(cost["macs"], rel=1e-6)
