import json

import pytest
import torch

from mendsearch.batches import Batch
from mendsearch.errors import UsageError
from mendsearch.files import read_metadata
from mendsearch.fleet.inputs import flattened, restored
from mendsearch.fleet.tensors import pack, unpack
from tests.unit.test_batches import batch, same


def test_inputs_come_back_from_a_file_as_they_were(tmp_path):
    whole = batch()
    tensors, form = flattened("calibration", whole)
    pack(tmp_path / "inputs.safetensors", tensors, {"calibration": form})
    path = tmp_path / "inputs.safetensors"
    again = restored(unpack(path), read_metadata(path)["calibration"])
    same(again, whole)
    assert again.args[1][1] == 0.5
    assert isinstance(again.args[1], tuple)
    assert isinstance(again.kwargs["images"], list)


def test_the_form_is_plain_json():
    tensors, form = flattened("x", Batch(torch.zeros(2, 3), on=True, tensor=torch.ones(2, dtype=torch.int64)))
    assert list(tensors) == ["x/0", "x/1"]
    assert json.loads(form) == {
        "tuple": [
            {"tuple": [{"tensor": "x/0"}]},
            {"dict": {"on": {"constant": True}, "tensor": {"tensor": "x/1"}}},
        ]
    }


@pytest.mark.parametrize("form", ["{}", "[]", '{"object": 1}', '{"tensor": "y"}', "{", '{"tuple": [{"constant": 1}]}'])
def test_a_damaged_form_is_refused(form):
    with pytest.raises(UsageError, match="the form of inputs is damaged"):
        restored({}, form)


def test_what_json_cannot_say_is_refused():
    from collections import OrderedDict

    with pytest.raises(UsageError, match="hold a OrderedDict, which other workers cannot be given"):
        flattened("validation", Batch(OrderedDict(a=torch.zeros(2))))
