from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch

from mendsearch.outputs import leaves_of

A, B, C = torch.zeros(2, 1), torch.ones(2, 2), torch.full((2, 3), 2.0)
Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: object = None


def test_a_tensor_alone_is_the_output():
    assert leaves_of(A) == {"output": A}


def test_every_form_gives_the_path_to_the_tensor():
    outputs = {"boxes": [A, B], "pair": Pair(C, None), "answer": Answer(A, (B,)), "count": 3}
    found = leaves_of(OrderedDict(outputs))
    assert list(found) == ["boxes.0", "boxes.1", "pair.first", "answer.logits", "answer.hidden.0"]
    assert found["boxes.1"] is B
    assert found["answer.hidden.0"] is B


def test_a_tuple_is_named_by_number():
    assert list(leaves_of((A, [B, C]))) == ["0", "1.0", "1.1"]


def test_detections_of_an_image_stay_together():
    items = [{"boxes": torch.zeros(n, 4), "scores": torch.zeros(n), "labels": torch.zeros(n)} for n in (3, 0)]
    assert leaves_of(items) == {"output": items}
    assert leaves_of({"found": tuple(items), "loss": A}) == {"found": items, "loss": A}


def test_what_holds_no_tensor_has_no_leaf():
    assert leaves_of(None) == {}
    assert leaves_of({"a": [None, "text"], "b": 1.5, "c": Answer}) == {}
