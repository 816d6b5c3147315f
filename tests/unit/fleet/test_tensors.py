import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from mendsearch.errors import UsageError
from mendsearch.files import write_tensors
from mendsearch.fleet import tensors as tensors_module
from mendsearch.fleet.tensors import pack, unpack

FLOATS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def same(one, other):
    """Equal bit for bit, so that NaN equals the same NaN, and -0.0 is not 0.0."""
    bits = FLOATS.get(one.dtype)
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(one.contiguous().view(bits) if bits else one, other.view(bits) if bits else other)


def normalised_images(n=32, channels=3, side=16):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (n, channels, side, side), generator=generator)
    return (pixels / 255 - torch.tensor([0.485, 0.456, 0.406])[:channels, None, None]) / 0.226


@st.composite
def any_tensor(draw):
    dtype = draw(st.sampled_from([*FLOATS, torch.int64, torch.uint8, torch.bool]))
    shape = (
        draw(st.lists(st.integers(0, 7), max_size=5)) if draw(st.booleans()) else [draw(st.integers(1, 40)), 2, 5, 6]
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    if dtype not in FLOATS:
        return torch.randint(0, 2, shape, generator=generator).to(dtype)
    few = draw(st.integers(1, 300))
    width = 8 * dtype.itemsize
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    colours = torch.randint(low, high, (few,), generator=generator, dtype=FLOATS[dtype]).view(dtype)  # NaN of any kind
    special = torch.tensor([0.0, -0.0, float("nan"), float("inf"), -float("inf")], dtype=dtype)
    colours = torch.cat([special[: draw(st.integers(0, 5))], colours])
    tensor = colours[torch.randint(0, len(colours), shape, generator=generator)]
    return tensor.transpose(0, -1) if draw(st.booleans()) and len(shape) > 1 else tensor


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of an example; only its values matter
@given(
    given_tensors=st.dictionaries(st.text("ab/.", min_size=1), any_tensor(), max_size=3),
    size=st.sampled_from([3, 50, 2**22]),
)
def test_every_tensor_comes_back_bit_for_bit(tmp_path_factory, given_tensors, size):
    path = tmp_path_factory.mktemp("packed") / "t.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors_module, "SLICE", size)
        pack(path, given_tensors)
        back = unpack(path)
    assert back.keys() == given_tensors.keys()
    for name, tensor in given_tensors.items():
        assert same(tensor, back[name])


@given(image=any_tensor())
def test_what_is_kept_takes_no_more_room_than_the_tensor(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("packed") / "t.safetensors"
    pack(path, {"x": image})
    kept = load_file(path)
    assert (
        sum(tensor.numel() * tensor.element_size() for tensor in kept.values()) <= image.numel() * image.element_size()
    )


def test_normalised_images_take_a_byte_a_pixel(tmp_path):
    images, labels = normalised_images(), torch.arange(32)
    pack(tmp_path / "t.safetensors", {"images": images, "labels": labels})
    kept = load_file(tmp_path / "t.safetensors")
    assert kept.keys() == {"index/images", "palette/images", "plain/labels"}
    assert kept["index/images"].dtype == torch.uint8
    assert kept["palette/images"].shape == (3, 256)
    assert (tmp_path / "t.safetensors").stat().st_size < images.numel() * 1.3
    back = unpack(tmp_path / "t.safetensors")
    assert same(images, back["images"])
    assert torch.equal(labels, back["labels"])


def test_channels_last_images_are_packed_too(tmp_path):
    images = normalised_images().contiguous(memory_format=torch.channels_last)
    pack(tmp_path / "t.safetensors", {"images": images})
    assert "index/images" in load_file(tmp_path / "t.safetensors")
    assert same(images, unpack(tmp_path / "t.safetensors")["images"])


def test_one_value_too_many_in_one_channel_and_the_tensor_stays_plain(tmp_path):
    images = normalised_images()
    images[-1, 1, -1, -1] = 77.0
    pack(tmp_path / "t.safetensors", {"images": images})
    assert load_file(tmp_path / "t.safetensors").keys() == {"plain/images"}
    assert same(images, unpack(tmp_path / "t.safetensors")["images"])


def test_a_value_that_comes_late_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors_module, "SLICE", 64)
    images = torch.zeros(64, 2, 8, 8)
    images[-1, 0, 3, 3], images[40, 1, 0, 0] = -5.0, float("nan")
    pack(tmp_path / "t.safetensors", {"images": images})
    assert "index/images" in load_file(tmp_path / "t.safetensors")
    assert same(images, unpack(tmp_path / "t.safetensors")["images"])


def test_a_parameter_is_kept_without_its_gradient(tmp_path):
    weight = torch.nn.Parameter(torch.randn(4, 3))
    pack(tmp_path / "t.safetensors", {"weight": weight})
    assert same(weight.detach(), unpack(tmp_path / "t.safetensors")["weight"])


def test_a_file_of_another_kind_or_none_is_one_line(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"weight": torch.zeros(2)})
    with pytest.raises(UsageError, match="holds a tensor `weight`, expected plain/NAME"):
        unpack(tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match="missing or damaged"):
        unpack(tmp_path / "none.safetensors")
