import gzip
import hashlib
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.sources import open_source
from mendsearch.training.sources.base import crop_and_flip
from mendsearch.training.splits import gather, split


def write_idx(path, array, zipped):
    raw = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    if zipped:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(raw))
    else:
        path.write_bytes(raw)


def fashion(folder, zipped=True, count=40):
    generator = np.random.default_rng(0)
    for part, images in (("train", count), ("t10k", 10)):
        write_idx(
            folder / f"{part}-images-idx3-ubyte", generator.integers(0, 256, (images, 28, 28), dtype=np.uint8), zipped
        )
        write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(images) % 10).astype(np.uint8), zipped)
    return DataSpec(name="fashion-mnist", path=folder, validation=8, calibration=8)


def test_digits_are_the_real_ones_split_by_the_seed():
    first, again, other = (open_source(DataSpec(name="digits"), seed) for seed in (0, 0, 1))
    assert (len(first.train), len(first.test)) == (1347, 450)
    assert first.train.images.shape == (1347, 1, 8, 8)
    assert torch.equal(first.test.labels, again.test.labels)
    assert not torch.equal(first.test.labels, other.test.labels)
    assert first.train[[0]][0].dtype == torch.float32


@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_is_read_gzipped_or_not(tmp_path, zipped):
    source = open_source(fashion(tmp_path, zipped), 0)
    assert source.train.images.shape == (40, 1, 28, 28)
    assert source.test.labels.tolist() == list(range(10))


def test_a_damaged_or_missing_idx_file_is_named(tmp_path):
    spec = fashion(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    for content, message in {b"nonsense": "cannot be unzipped", gzip.compress(b"\1\2\3"): "not an idx file"}.items():
        labels.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_source(spec, 0)
    labels.write_bytes(gzip.compress(gzip.decompress(whole)[:-3]))
    with pytest.raises(DataError, match="truncated: got 7 bytes, expected 10"):
        open_source(spec, 0)
    labels.unlink()
    with pytest.raises(DataError, match="lacks t10k-labels-idx1-ubyte"):
        open_source(spec, 0)


def test_labels_out_of_range_are_found_before_training(tmp_path):
    spec = fashion(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.full(40, 10, np.uint8), zipped=True)
    with pytest.raises(DataError, match="out of range: got 10 to 10, expected 0 to 9"):
        split(open_source(spec, 0), spec, 0)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "folder"])
def test_a_folder_that_is_not_given_missing_or_empty_is_said(tmp_path, name):
    for path, message in ((None, "needs \\[data\\] path"), (tmp_path / "no", "is missing"), (tmp_path, "is empty")):
        with pytest.raises(DataError, match=message):
            open_source(DataSpec(name=name, path=path), 0)


def test_cifar10_is_read_from_its_own_layout(tmp_path, monkeypatch):
    """The real layout, small: torchvision's digests are those of the small files."""
    from torchvision.datasets import CIFAR10

    base = tmp_path / CIFAR10.base_folder
    base.mkdir()

    def write(file, value):
        raw = pickle.dumps(value)
        (base / file).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    def batch(count):
        return {
            "data": np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(count)],
        }

    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", write("data_batch_1", batch(30))]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch(10))]])
    names = write("batches.meta", {"label_names": [str(i) for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": names})
    source = open_source(DataSpec(name="cifar10", path=tmp_path), 0)
    assert source.train.images.shape == (30, 3, 32, 32)
    (base / "test_batch").write_bytes(b"changed")
    with pytest.raises(DataError, match="does not hold a complete CIFAR-10"):
        open_source(DataSpec(name="cifar10", path=tmp_path), 0)


def tree(root, classes=("cat", "dog"), parts=("train", "val"), count=8):
    generator = np.random.default_rng(0)
    for part in parts:
        for label in classes:
            (root / part / label).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{index}.png")
    return DataSpec(name="folder", path=root, validation=4, calibration=4)


def test_an_imagenet_style_tree_is_read(tmp_path):
    spec = tree(tmp_path)
    source = open_source(spec, 0)
    splits = split(source, spec, 0)
    assert source.num_classes == 2
    assert splits.validation[0].tensor.shape == (4, 3, 224, 224)
    assert len(splits.train) == 12
    assert not torch.equal(source.train[0][0], source.train[0][0])  # training images are cropped at random
    assert torch.equal(gather(source.test, [0])[0].tensor, gather(source.test, [0])[0].tensor)


def test_images_are_decoded_on_a_single_core_without_a_warning(tmp_path):
    source, cores = open_source(tree(tmp_path), 0), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:  # PyTorch warns of more processes than cores, and a warning fails the test
        assert gather(source.test, [0])[0].tensor.shape == (1, 3, 224, 224)
    finally:
        os.sched_setaffinity(0, cores)


def test_a_tree_that_lacks_a_part_or_differs_in_its_classes_is_said(tmp_path):
    with pytest.raises(DataError, match=r"val is missing|test is missing"):
        open_source(tree(tmp_path / "a", parts=("train",)), 0)
    spec = tree(tmp_path / "b")
    (tmp_path / "b" / "train" / "horse").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_source(spec, 0)
    (tmp_path / "b" / "train" / "horse" / "1.png").write_bytes((tmp_path / "b/train/cat/1.png").read_bytes())
    with pytest.raises(DataError, match="class `horse` is not in both"):
        open_source(spec, 0)


def test_data_of_ones_own_comes_by_import_path(inside):
    (inside / "own_data.py").write_text(
        "import torch, mendsearch\n"
        "def make(n):\n"
        "    images = torch.zeros(n, 1, 4, 4, dtype=torch.uint8)\n"
        "    part = mendsearch.ArrayDataset(images, torch.arange(n) % 2, [0.5], [0.5])\n"
        "    return mendsearch.DataSource(part, part, num_classes=2)\n"
        "def wrong(): return 3\n"
        "def fails(): return {}['key']\n"
    )
    assert len(open_source(DataSpec(name="own_data:make", kwargs={"n": 12}), 0).train) == 12
    for name, message in {
        "own_data:wrong": "expected a mendsearch.DataSource",
        "own_data:fails": "KeyError: 'key'",
    }.items():
        with pytest.raises(DataError, match=message):
            open_source(DataSpec(name=name), 0)


def test_an_unknown_source_lists_those_that_are_known():
    with pytest.raises(DataError, match="'mnist' is unknown; expected digits, fashion-mnist"):
        open_source(DataSpec(name="mnist"), 0)


def test_augmentation_moves_and_mirrors_whole_images():
    images = torch.arange(2 * 3 * 6 * 6).float().view(2, 3, 6, 6)
    varied = crop_and_flip(2, flip=True)(images, torch.Generator().manual_seed(0))
    assert varied.shape == images.shape
    padded = torch.nn.functional.pad(images, [2] * 4)
    for before, after in zip(padded, varied, strict=True):
        windows = [before[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
        assert any(torch.equal(after, w) or torch.equal(after, w.flip(2)) for w in windows)
