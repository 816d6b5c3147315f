import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.artifacts.describing import describe, describe_pruned, kept_channels
from mendsearch.artifacts.folder import read_structure, write_structure
from mendsearch.artifacts.inputs import example_of, inputs_of
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import ModelError
from mendstore.records.base import RecordError
from tests.zoo import IMAGES, NETWORKS, build

ROOT = Path(__file__).parents[3]


def halved(name):
    """A network with half the channels, at random; its structure."""
    model = build(name)
    coupling = find_coupling(model, IMAGES)
    generator = np.random.default_rng(0)
    orders = [generator.permutation(width) for width in coupling.widths]
    counts = (coupling.widths + 1) // 2
    slicer = Slicer(model, coupling, orders)
    state = slicer.slice(counts)
    pruned = build_pruned(model, state, slicer.sizes(state)).eval()
    kept = kept_channels(coupling, orders, counts)
    return model, pruned, describe_pruned(model, pruned, coupling, kept, inputs_of(IMAGES))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_structure_takes_the_slices_of_the_search(tmp_path, name):
    model, pruned, structure = halved(name)
    write_structure(tmp_path / "structure.json", structure)
    assert read_structure(tmp_path) == structure
    for given in (structure, tmp_path, str(tmp_path / "structure.json")):
        torch.testing.assert_close(mendsearch.apply(model, given)(IMAGES), pruned(IMAGES))
    assert structure.keep_counts == {group: -(-width // 2) for group, width in structure.widths.items()}
    widths = {layer.name: (layer.inputs, layer.outputs) for layer in structure.layers if layer.outputs}
    for layer, (inputs, outputs) in widths.items():
        module = pruned.get_submodule(layer)
        assert outputs == module.weight.shape[0]
        assert inputs == module.weight.shape[1] * getattr(module, "groups", 1)


def test_a_network_is_left_as_it_was_and_its_modes_stay():
    model, _, structure = halved("residual")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert mendsearch.apply(model.train(), structure).training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_group_is_named_where_its_channels_are_the_indices_and_else_they_are_listed():
    _, _, structure = halved("concatenated")
    assert structure.tensors["conv1.weight"].kept == {0: "conv1", 1: "stem"}
    both = structure.tensors["conv2.weight"].kept[1]
    assert both == [*structure.kept["stem"], *(6 + index for index in structure.kept["conv1"])]


def test_what_was_saved_without_a_search_says_no_channels(tmp_path):
    mendsearch.save(build("residual"), tmp_path)
    with pytest.raises(ModelError, match="does not say which channels stay; try one that a run or `mend` wrote"):
        mendsearch.apply(build("residual"), tmp_path)


def test_a_file_that_is_no_structure_gives_one_line(tmp_path):
    with pytest.raises(ModelError, match="holds no structure: FileNotFoundError"):
        mendsearch.apply(build("residual"), tmp_path / "none.json")
    (tmp_path / "structure.json").write_bytes(b"\xff")
    with pytest.raises(ModelError, match="holds no structure: UnicodeDecodeError") as refused:
        mendsearch.apply(build("residual"), tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format"),
        ({"widths": {}}, "name different coupling groups"),
        ({"kept": {"conv1": [0, 1]}}, "name different coupling groups"),
        ({"tensors": {"w": {"shape": [1], "dense_shape": [4], "kept": {"0": [4]}}}}, "ascending indices below 4"),
        ({"tensors": {"w": {"shape": [2], "dense_shape": [4], "kept": {"0": [2, 1]}}}}, "ascending indices below 4"),
        ({"tensors": {"w": {"shape": [1], "dense_shape": [4], "kept": {"0": [1, 2]}}}}, "holds 2 indices, expected 1"),
        ({"tensors": {"w": {"shape": [1], "dense_shape": [4], "kept": {"1": [1]}}}}, "names dimension 1"),
        ({"tensors": {"w": {"shape": [1], "dense_shape": [4], "kept": {"0": "none"}}}}, "no coupling group none"),
    ],
)
def test_a_structure_that_contradicts_itself_is_refused(change, reason):
    written = halved("residual")[2].written()
    assert mendsearch.PrunedStructure.read(written)
    with pytest.raises(RecordError, match=reason):
        mendsearch.PrunedStructure.read(written | change)
    short = written["kept"] | {"conv1": written["kept"]["conv1"][:-1]}
    with pytest.raises(RecordError, match="`kept` of conv1 holds 1 channels, expected 2"):
        mendsearch.PrunedStructure.read(written | {"kept": short})


def test_inputs_are_described_by_position_or_by_name():
    one = inputs_of(IMAGES)[0]
    assert (one.name, one.shape, one.dtype, one.high) == (None, [3, 8, 8], "float32", None)
    ids, mask = inputs_of({"ids": torch.tensor([[3, 9]]), "mask": torch.ones(1, 2, dtype=torch.bool)})
    assert (ids.name, ids.shape, ids.dtype, ids.high) == ("ids", [2], "int64", 9)
    assert (mask.name, mask.dtype) == ("mask", "bool")
    made = example_of([ids, mask], items=50)
    assert made["ids"].shape == made["mask"].shape == (50, 2)
    assert made["ids"].dtype == torch.int64
    assert 0 <= made["ids"].min() < made["ids"].max() <= 9
    assert made["mask"].dtype == torch.bool
    assert [tensor.shape for tensor in example_of([one])] == [(2, 3, 8, 8)]


def test_settings_that_have_no_effect_in_evaluation_are_left_out():
    layers = describe(nn.Sequential(nn.Dropout(0.3), nn.ReLU(inplace=True), nn.BatchNorm2d(3, momentum=0.2))).layers
    assert [layer.settings for layer in layers] == [{}, {}, {"affine": True, "eps": 1e-5, "track_running_stats": True}]


def test_the_schema_of_structure_json_is_up_to_date():
    made = subprocess.run(
        [sys.executable, "docs/make_schemas.py", "--print", "structure.schema.json"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert made.stdout == (ROOT / "docs" / "structure.schema.json").read_text(encoding="utf-8"), (
        "run: python docs/make_schemas.py"
    )
    assert json.loads(made.stdout)["required"]
