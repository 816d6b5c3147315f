import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mendsearch.batches import Batch
from mendsearch.errors import DataError


def batch(count=5):
    return Batch(
        torch.arange(count * 12.0).view(count, 3, 2, 2),
        (torch.arange(count), 0.5),
        mask={"a": torch.ones(count, 4, dtype=torch.bool)},
        images=[torch.full((index + 1,), float(index)) for index in range(count)],
        name="x",
    )


def same(first, second):
    assert str(first) == str(second)
    assert len(first) == len(second)
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=True))
    assert first.kwargs["name"] == second.kwargs["name"]
    return True


@given(count=st.integers(1, 9), data=st.data())
def test_what_is_split_and_put_together_is_the_same(count, data):
    whole = batch(count)
    size = data.draw(st.integers(1, count))
    parts = whole.split(size)
    assert [len(part) for part in parts] == [len(part) for part in torch.arange(count).split(size)]
    same(Batch.cat(parts), whole)
    sections = data.draw(st.integers(1, count + 2))
    pieces = whole.tensor_split(sections)
    assert [len(part) for part in pieces] == [len(part) for part in torch.arange(count).tensor_split(sections)]
    same(Batch.cat(pieces), whole)
    cut = data.draw(st.integers(0, count))
    same(Batch.cat(whole.split([cut, count - cut])), whole)
    order = torch.tensor(data.draw(st.permutations(range(count))))
    same(whole[order][order.argsort()], whole)


def test_items_are_taken_alike_of_all_arguments():
    whole = batch()
    for index, wanted in ((2, [2]), (-1, [4]), (slice(1, 4, 2), [1, 3]), (torch.tensor([4, 0]), [4, 0])):
        part = whole[index]
        assert part.args[1][0].tolist() == wanted
        assert part.kwargs["images"][0].tolist() == [float(wanted[0])] * (wanted[0] + 1)
        assert len(part) == len(part.kwargs["images"]) == len(wanted)
        assert part.args[1][1] == 0.5
    mask = torch.tensor([True, False, False, True, False])
    same(whole[mask], whole[torch.tensor([0, 3])])
    with pytest.raises(IndexError):
        whole[5]


def test_a_network_gets_its_arguments_as_they_were_nested():
    class Network(nn.Module):
        def forward(self, x, pair, *, mask, images, name):
            images.append(name)  # its own list
            return x.shape, pair[1], mask["a"].shape, type(images)

    whole = batch()
    assert whole.call(Network()) == ((5, 3, 2, 2), 0.5, (5, 4), list)
    assert len(whole.kwargs["images"]) == 5


def test_floats_get_the_dtype_and_images_alone_are_channels_last():
    placed = batch().to("cpu", torch.float64, torch.channels_last)
    kinds = [tensor.dtype for tensor in placed.tensors]
    assert kinds == [torch.float64, torch.int64, torch.bool, *[torch.float64] * 5]
    image = Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.int64))
    last = [tensor.is_contiguous(memory_format=torch.channels_last) for tensor in
            image.to(memory_format=torch.channels_last).tensors]  # fmt: skip
    assert last == [True, False]
    assert Batch(torch.zeros(4, 3).T).to(memory_format=torch.contiguous_format).tensor.is_contiguous()


def test_one_rule_makes_a_batch_of_what_stands_for_one():
    x, y = torch.zeros(2, 3), torch.ones(2, 4)
    assert Batch.of(x).is_one_tensor
    assert Batch.of(x).tensor is x
    assert Batch.of((x, y)).args == (x, y)
    assert set(Batch.of({"x": x, "y": y}).kwargs) == {"x", "y"}
    assert Batch.of([x, y]).args == ([x, y],)
    whole = batch()
    assert Batch.of(whole) is whole
    with pytest.raises(DataError, match="expected one tensor"):
        _ = whole.tensor


def test_lists_and_tensors_together_are_a_list():
    together = Batch.cat([Batch(torch.zeros(2, 3)), Batch([torch.zeros(4)])])
    assert [tuple(part.shape) for part in together.args[0]] == [(3,), (3,), (4,)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batch(torch.zeros(2, 3), y=torch.zeros(3)), "got 2 and 3"),
        (lambda: Batch(1, None), "without a tensor"),
        (lambda: Batch(object()), "got object among inputs"),
        (lambda: Batch([1, 2]), "a list of other things than tensors"),
        (lambda: Batch.cat([Batch(torch.zeros(2, 3)), Batch(x=torch.zeros(2, 3))]), "differ in their inputs"),
        (lambda: Batch.cat([Batch(torch.zeros(2, 3)), Batch(torch.zeros(2, 4))]), r"got \(3,\) and \(4,\); pad"),
    ],
)
def test_what_is_no_batch_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()
