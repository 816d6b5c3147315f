import pytest
import torch

from mendsearch.batches import Batch
from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.training.sources.base import ArrayDataset, DataSource
from mendsearch.training.splits import batches, gather, split


def source(count=40, test=10, classes=4):
    """Every image is its own number."""
    images = torch.arange(count).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    train = ArrayDataset(images, torch.arange(count) % classes, [0.0], [1 / 255])
    held = ArrayDataset(images[:test] + 100, torch.arange(test) % classes, [0.0], [1 / 255])
    return DataSource(train, held, num_classes=classes)


def numbers(images):
    return set(images.tensor[:, 0, 0, 0].round().int().tolist())


def test_no_image_is_in_two_parts_that_must_not_meet():
    splits = split(source(), DataSpec(name="x", validation=6, calibration=9), 3)
    train = numbers(Batch.cat([images for images, _ in batches(splits.train, 7)]))
    validation, calibration = numbers(splits.validation[0]), numbers(splits.calibration)
    assert (len(train), len(validation), len(calibration)) == (34, 6, 9)
    assert not train & validation
    assert calibration <= train
    assert not numbers(gather(splits.test, list(range(10)))[0]) & (train | validation)


def test_the_seed_draws_the_parts():
    spec = DataSpec(name="x", validation=6, calibration=9)
    parts = [numbers(split(source(), spec, seed).validation[0]) for seed in (0, 0, 1)]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]


def test_at_most_a_quarter_is_held_out():
    splits = split(source(count=40), DataSpec(name="x"), 0)
    assert len(splits.validation[0]) == 10
    assert len(splits.train) == 30


def test_batches_cover_every_image_once_in_an_order_of_the_seed():
    splits = split(source(), DataSpec(name="x", validation=6, calibration=9), 0)
    orders = [
        Batch.cat([images for images, _ in batches(splits.train, 5, shuffle_seed=seed)]).tensor[:, 0, 0, 0]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert sorted(orders[0].tolist()) == sorted(orders[2].tolist())


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="got 7 training and 7 test items"):
        split(source(count=7), DataSpec(name="x"), 0)


def test_items_that_are_no_images_are_refused():
    class Words(torch.utils.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return object(), 0

    with pytest.raises(DataError, match="data set Words does not give"):
        split(DataSource(Words(), source().test, num_classes=4), DataSpec(name="x"), 0)


def test_labels_out_of_range_are_refused():
    bad = DataSource(source().train, source().test, num_classes=3)
    with pytest.raises(DataError, match="labels are out of range: got 0 to 3, expected 0 to 2 for 3 classes"):
        split(bad, DataSpec(name="x"), 0)
