import pytest
import torch

from mendsearch.config import parse_spec
from mendsearch.errors import UsageError
from mendsearch.pipeline.inspection import drawn, inspect_model, inspect_spec


def test_forms_of_inputs_are_read():
    batch = drawn(["3X8x9", "1024", "128:int64", "mask=20:bool", "images=[3x5x4]:float64"])
    assert [tuple(part.shape) for part in batch.args] == [(2, 3, 8, 9), (2, 1024), (2, 128)]
    assert batch.args[2].dtype == torch.int64
    assert batch.kwargs["mask"].dtype == torch.bool
    assert [(tuple(part.shape), part.dtype) for part in batch.kwargs["images"]] == [((3, 5, 4), torch.float64)] * 2


@pytest.mark.parametrize("form", ["big", "3x0", "", "3x", "8:int9", "8:nn", "[3x4", "3x4]", "=3"])
def test_what_is_no_form_is_refused(form):
    with pytest.raises(UsageError, match="expected the shape of one item such as 3x224x224"):
        drawn([form])


@pytest.mark.parametrize(
    ("name", "forms", "groups"),
    [
        ("tests.cases.inputs:frames", ["1024"], {"0", "3"}),
        ("tests.cases.inputs:Text", ["20:int64", "mask=20:bool"], {"embedding", "conv1", "conv2"}),
        ("tests.cases.inputs:Two", ["3x12x12", "notes=7"], {"body.0", "body.3", "notes"}),
        ("tests.cases.inputs:Listed", ["[3x12x12]"], {"body.0", "body.3"}),
    ],
)
def test_a_network_of_other_inputs_is_inspected(name, forms, groups):
    found = inspect_model(name, forms)
    assert {group["name"] for group in found["coupling_groups"]} == groups
    assert found["least"]["macs"] < found["dense"]["macs"]


def test_a_network_whose_budget_cannot_be_met_is_shown_too():
    table = {"name": "digits", "model": {"name": "digits-resnet"}, "data": {"name": "digits"}}
    good, bad = (inspect_spec(parse_spec(table | {"budget": {"macs": macs}}, "test")) for macs in (0.5, 0.0001))
    assert good["refused"] is None
    assert "cannot be met: one channel in every coupling group still costs" in bad["refused"]
    assert bad | {"refused": None} == good


def test_the_data_of_a_spec_say_what_a_network_reads():
    table = {
        "name": "two", "model": {"name": "tests.cases.inputs:Two"}, "budget": {"macs": 0.5},
        "data": {"name": "tests.cases.inputs:two_inputs", "batch": "tests.cases.inputs:apart"},
    }  # fmt: skip
    found = inspect_spec(parse_spec(table, "test"))
    assert found == inspect_model("tests.cases.inputs:Two", ["3x12x12", "notes=7"]) | {"whole": found["whole"]}
